#!/usr/bin/env python3
"""Compares doppel's word2vec with gensim's on the same titles: are titles matched as well, are neighbours the same?

usage: word2vec.py [--seeds N] [--rows PROGRAM] LISTINGS.csv [LISTINGS.csv ...]

For each file, kind (skip-gram, CBOW), and number of passes, both learn with N seeds: 50 values, window 5, 5 negative words,
min_count 1 and the defaults otherwise. A title is the sum of its words (lower case, runs of word characters). Measured on both sides alike:

  f1       mean F1 of the listings at the best cosine threshold of a grid, each with its 50 nearest at most
  top1     of the listings with a partner, the share whose nearest other listing is one
  overlap  mean share of common rows among the 10 nearest, of two runs: gensim with gensim, doppel with gensim

PROGRAM is target/debug/examples/word2vec_rows by default (`cargo build --example word2vec_rows`); needs gensim and NumPy.
"""
import argparse, csv, itertools, json, os, re, statistics, subprocess, sys, tempfile

import gensim
import numpy as np
from gensim.models import Word2Vec

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
SIZE = 50


def gensim_rows(sentences, kind, epochs, seed):
    model = Word2Vec(sentences, vector_size=SIZE, window=5, min_count=1, sg=int(kind == 'skip-gram'), negative=5, epochs=epochs, seed=seed, workers=1)
    rows = np.zeros((len(sentences), SIZE))
    for row, words in zip(rows, sentences):
        for word in words:
            row += model.wv[word]
    return rows


def doppel_rows(program, path, kind, epochs, seed):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, 'rows.npy')
        subprocess.run([program, path, kind, str(epochs), '1', str(seed), out], check=True, stdout=subprocess.DEVNULL)
        return np.load(out).astype(float)


def cosines(rows):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    scores = unit @ unit.T
    np.fill_diagonal(scores, 2)  # itself first
    return scores


def measure(scores, labels):
    order = np.argsort(-scores, axis=1, kind='stable')[:, :50]
    near = np.take_along_axis(scores, order, 1)
    right = labels[order] == labels[:, None]
    size = np.array([(labels == l).sum() for l in labels])
    best = (0.0, 0.0)
    for threshold in np.arange(0.5, 1.0, 0.005):
        taken = near >= threshold
        f1 = (2 * (taken & right).sum(1) / (taken.sum(1) + size)).mean()
        best = max(best, (float(f1), float(threshold)))
    partner = size > 1
    return {'f1': best[0], 'threshold': round(best[1], 3), 'top1': float(right[partner, 1].mean())}, order[:, 1:11]


def overlap(a, b):
    return float(np.mean([len(set(x) & set(y)) / len(x) for x, y in zip(a, b)]))


def spread(values):
    return {'mean': round(statistics.mean(values), 5), 'least': round(min(values), 5), 'most': round(max(values), 5)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--rows', default=os.path.join(ROOT, 'target/debug/examples/word2vec_rows'))
    parser.add_argument('listings', nargs='+')
    args = parser.parse_args()
    for path in args.listings:
        with open(path, newline='', encoding='utf-8') as f:
            table = list(csv.DictReader(f))
        sentences = [re.findall(r'\w+', row['title'].lower()) for row in table]
        labels = np.unique([row['label_group'] for row in table], return_inverse=True)[1]
        for kind, epochs in itertools.product(('skip-gram', 'cbow'), (5, 50)):
            found, lists = {}, {}
            for who in ('gensim', 'doppel'):
                found[who], lists[who] = [], []
                for seed in range(1, args.seeds + 1):
                    rows = gensim_rows(sentences, kind, epochs, seed) if who == 'gensim' else doppel_rows(args.rows, path, kind, epochs, seed)
                    figures, near = measure(cosines(rows), labels)
                    found[who].append(figures)
                    lists[who].append(near)
            result = {'what': 'word2vec', 'listings': os.path.basename(path), 'rows': len(table), 'kind': kind, 'epochs': epochs, 'seeds': args.seeds, 'gensim': gensim.__version__, 'numpy': np.__version__}
            for figure in ('f1', 'top1'):
                result[figure] = {who: spread([one[figure] for one in found[who]]) for who in found}
                ours, theirs = result[figure]['doppel']['mean'], [one[figure] for one in found['gensim']]
                result[figure]['difference'] = round(ours - statistics.mean(theirs), 5)
                result[figure]['gensim_deviation'] = round(statistics.stdev(theirs), 5)
                result[figure]['mean_within_gensim'] = min(theirs) <= ours <= max(theirs)
            result['overlap'] = {
                'gensim_gensim': spread([overlap(a, b) for a, b in itertools.combinations(lists['gensim'], 2)]),
                'doppel_gensim': spread([overlap(a, b) for a in lists['doppel'] for b in lists['gensim']]),
            }
            print(json.dumps(result), flush=True)


if __name__ == '__main__':
    sys.exit(main())
