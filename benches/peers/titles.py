#!/usr/bin/env python3
"""A made-up marketplace's titles: Zipf-distributed Indonesian and English words, 5 to 15 of them, in groups of near
duplicates. The same seed gives the same titles.

usage: titles.py N [--seed S] [--csv]     one title a line, or listings for `engine match`
"""
import argparse, csv, random, sys
from bisect import bisect
from itertools import accumulate

COMMON = '''baju celana sepatu tas wanita pria anak murah original promo diskon terbaru import kualitas premium ukuran warna
hitam putih merah biru hijau lengan panjang pendek kaos kemeja gamis hijab sandal dompet jam tangan susu bubuk minyak
sabun muka krim wajah masker rambut sampo botol minum mainan edukasi boneka bayi celemek gelas piring panci lampu kabel
baterai casing hp case soft hard tempered glass charger usb cable led set pcs gr ml kg pack new ready stock best seller
free gift limited edition cotton jeans denim slim fit oversize hoodie jacket sweater dress leather canvas backpack bag
waterproof portable mini wireless bluetooth earphone headset speaker power bank holder car motor bantal sprei'''.split()
SYLLABLES = '''ba be bi bo bu ca ce da de di du ga ge ha hi ja ju ka ke ki ko ku la le li lo lu ma me mi mu na ne ni no
pa pe pi pu ra re ri ro ru sa se si so su ta te ti to tu wa ya yu'''.split()
VOCABULARY = 40_000


def vocabulary(r):
    words, seen = list(COMMON), set(COMMON)
    while len(words) < VOCABULARY:
        word = ''.join(r.choice(SYLLABLES) for _ in range(r.randint(2, 4))) + r.choice(['', '', '', 'n', 'ng', 's', 'r', 'k', 't'])
        if r.random() < .12:
            word = word[:3] + str(r.randint(1, 998))
        if word not in seen:
            seen.add(word)
            words.append(word)
    return words


def titles(n, seed=0):
    """[(group, title)] * n, shuffled."""
    r = random.Random(seed)
    words = vocabulary(r)
    weights = list(accumulate((i + 2.7) ** -1.05 for i in range(len(words))))
    pick = lambda: words[bisect(weights, r.random() * weights[-1]) % len(words)]
    out, group = [], 0
    while len(out) < n:
        base = [pick() for _ in range(r.randint(5, 15))]
        size = 2
        while size < 50 and r.random() < .66:
            size += 1
        for _ in range(size):
            title = list(base)
            for _ in range(r.randint(0, 3)):
                at = r.randrange(len(title))
                if r.random() < .5:
                    title[at] = pick()
                elif len(title) > 5:
                    title.pop(at)
            if r.random() < .3:
                r.shuffle(title)
            text = ' '.join(title)
            if r.random() < .4:
                text = text.title()
            if r.random() < .2:
                text += f" - {r.randint(1, 499)} {r.choice(['ml', 'gr', 'pcs', 'cm'])}"
            out.append((group, text))
        group += 1
    r.shuffle(out)
    return out[:n]


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('n', type=int)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--csv', action='store_true')
    a = p.parse_args()
    rows = titles(a.n, a.seed)
    if a.csv:
        w = csv.writer(sys.stdout, lineterminator='\n')
        w.writerow(['posting_id', 'image', 'image_phash', 'title', 'label_group'])
        w.writerows([f'synthetic_{i}', '', '', t, g] for i, (g, t) in enumerate(rows))
    else:
        sys.stdout.write(''.join(t + '\n' for _, t in rows))
