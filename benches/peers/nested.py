#!/usr/bin/env python3
"""Chooses the recipe `doppel` by nested cross-validation over groups, and says what the choice is worth.

Candidates are spaces (each a recipe of the engine, run once for each set with a rule that lets all 50 neighbours through)
times forms of the rule times thresholds. Groups go to 5 folds as `engine split` has them. Each fold is held out in turn: on the
other four, inner folds are held out in turn, thresholds are chosen on the rest, and the candidate with the best mean of those
inner scores is taken; its thresholds are then chosen on all four, and only then the outer fold is scored. The score is the mean
row-wise F1 of the sets, each set counting as much. Rows are answered from all listings of their set: what the spaces learn
(vocabularies, neighbours) they learn from titles without labels.

Both sets that this was made for have groups of two at most, which say nothing of how a listing finds its second partner: the best
rule there has a first threshold near 0 and answers with the one nearest listing. So the choice is made twice: among all thresholds, and
(for the recipe that ships) among those whose first threshold is at least --least, that of Tan's system for TF-IDF, which was chosen
on groups of 2 to 51, and without the spaces that are expanded by one neighbour.

At last the same choice is made with all five folds as the inner ones, and what that recipe scores by `engine match` and `engine
evaluate` must be what was computed here. One JSON line for each result.

usage: nested.py SET.csv [SET.csv ...] [--engine target/release/engine] [--folds 5] [--recipe OUT.toml]     (needs numpy)
"""
import argparse, csv, json, os, subprocess, sys, tempfile

import numpy as np

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('sets', nargs='+')
p.add_argument('--engine', default='target/release/engine')
p.add_argument('--folds', type=int, default=5)
p.add_argument('--least', type=float, default=0.25, help='the least first threshold of the recipe that ships')
p.add_argument('--recipe', help='where the chosen recipe goes')
p.add_argument('--spaces', nargs='+', help='only these spaces')
a = p.parse_args()

WORDS = '[spaces.words]\ntfidf = { sublinear_tf = true }\n'
STOPPED = '[spaces.words]\ntfidf = { stop_words = "english", sublinear_tf = true }\n'
# The five authors' first preprocessing: without punctuation the codes of two sellers are written alike (PS-LX350H, PSLX350H).
PLAIN = 'clean = ["lower", "stop_words_english", "punctuation", "whitespace"]\n'
PLAIN_WORDS = '[spaces.words]\ntfidf = { sublinear_tf = true }\n' + PLAIN
LETTERS = '[spaces.letters]\ntfidf = { analyzer = "char_wb", ngram = [3, 5], sublinear_tf = true }\n'
PLAIN_LETTERS = LETTERS + PLAIN
SHORT = '[spaces.letters]\ntfidf = { analyzer = "char_wb", ngram = [2, 4], sublinear_tf = true }\n'
ONE_PLUS = 'refine = [{ expand = { k = 2, alpha = 0.5, weight = "one_plus" } }]\n'


def concat(words=1.0, letters=1.0):
    return f'[spaces.both]\nconcat = {{ words = {words}, letters = {letters} }}\n'


def fused(how):
    return f'[spaces.both]\nfused = {{ words = 1.0, letters = 1.0 }}\nby = "{how}"\n'


# What listings are compared in: the spaces, and the one that the rule is about.
SPACES = {
    'words': (WORDS, 'words'),
    'words, stop words': (STOPPED, 'words'),
    'words, one_plus': (WORDS + ONE_PLUS, 'words'),
    'letters': (LETTERS, 'letters'),
    'letters 2 to 4': (SHORT, 'letters'),
    'letters, one_plus': (LETTERS + ONE_PLUS, 'letters'),
    'mean': (WORDS + LETTERS + concat(), 'both'),
    'mean, stop words': (STOPPED + LETTERS + concat(), 'both'),
    'words, cleaned': (PLAIN_WORDS, 'words'),
    'letters, cleaned': (PLAIN_LETTERS, 'letters'),
    'mean, cleaned': (PLAIN_WORDS + PLAIN_LETTERS + concat(), 'both'),
    'mean, letters more': (WORDS + LETTERS + concat(0.7, 1.0), 'both'),
    'mean, one_plus': (WORDS + LETTERS + concat() + ONE_PLUS, 'both'),
    'either': (WORDS + LETTERS + fused('either'), 'both'),
}
# Forms of the rule, by whether they have a second threshold.
FORMS = {
    'one': '{s} < {d}',
    'min2': 'min2({s} < {d}, {s} < {e})',
    'two steps': 'sweep({s} < {d} to {e} by {step})',
    'steps': 'sweep({s} < {d} to {e} by 0.05)',
    'reciprocal min2': 'reciprocal(min2({s} < {d}, {s} < {e}))',
    'reciprocal steps': 'reciprocal(sweep({s} < {d} to {e} by 0.05))',
}
FIRST = [0.02, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6]
SECOND = [round(0.02 + 0.04 * n, 2) for n in range(7, 21)]
ONES = [round(0.02 * n, 2) for n in range(1, 45)]
# Spaces in which every row is drawn to its one nearest row.
PAIRING = ('one_plus',)


def engine(*words, quiet=('--json', '--quiet')):
    done = subprocess.run([a.engine, *words, *quiet], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(words)}: exit {done.returncode}: {done.stderr.strip()}')
    return json.loads(done.stdout)


class Set:
    """Listings with their true groups and folds."""

    def __init__(self, path, scratch):
        self.path, self.name = path, os.path.splitext(os.path.basename(path))[0]
        folds = os.path.join(scratch, self.name)
        engine('split', path, '--folds', str(a.folds), '--out', folds)
        rows = list(csv.DictReader(open(os.path.join(folds, 'folds.csv'), newline='')))
        self.at = {r['posting_id']: i for i, r in enumerate(rows)}
        labels = {}
        self.label = np.array([labels.setdefault(r['label_group'], len(labels)) for r in rows])
        self.fold = np.array([int(r['fold']) for r in rows])
        self.size = np.bincount(self.label)[self.label]
        self.scratch = scratch

    def neighbours(self, spaces, space):
        """Each row's neighbours, best first, as (distances, whether true, places of the row in theirs, rows)."""
        recipe, out, pairs = (os.path.join(self.scratch, n) for n in ('r.toml', 'm.csv', 'p.csv'))
        with open(recipe, 'w') as f:
            f.write(f'name = "candidate"\nfusion = "{space} < 1"\n\n{spaces}')
        engine('match', self.path, '--recipe', recipe, '--out', out, '--pairs', pairs, '--no-work')
        found = [[] for _ in self.label]
        for r in csv.DictReader(open(pairs, newline='')):
            found[self.at[r['from']]].append((self.at[r['to']], 1.0 - float(r['score'])))
        width = max(len(f) for f in found)
        row = np.full((len(found), width), -1)
        distance = np.full((len(found), width), np.inf)
        for i, f in enumerate(found):
            for c, (j, d) in enumerate(f):
                row[i, c], distance[i, c] = j, d
        place = [{j: c for c, (j, _) in enumerate(f)} for f in found]
        back = np.array([[place[j].get(i, width) if j >= 0 else width for j in js] for i, js in enumerate(row.tolist())])
        true = (row >= 0) & (self.label[row] == self.label[:, None])
        return distance, true, back, row


def scores(data, near):
    """F1 of every row under every form and thresholds: {form: (settings, array of settings x rows)}."""
    distance, true, back, row = near
    count = {d: (distance < d).sum(axis=1) for d in {*FIRST, *SECOND, *ONES}}
    hits = np.concatenate([np.zeros((len(true), 1), int), np.cumsum(true, axis=1)], axis=1)
    every = np.arange(len(true))

    def f1(k):
        return 2.0 * (1 + hits[every, k]) / (data.size + 1 + k)

    columns = np.arange(distance.shape[1])[None, :]

    def both_ways(k):
        w = max(int(k.max()), 1)
        kept = (columns[:, :w] < k[:, None]) & (back[:, :w] < k[row[:, :w]])
        return 2.0 * (1 + (kept & true[:, :w]).sum(axis=1)) / (data.size + 1 + kept.sum(axis=1))

    out = {'one': ([(d, None) for d in ONES], np.array([f1(count[d]) for d in ONES], np.float32))}
    pairs = [(d, e) for d in FIRST for e in SECOND if d < e]
    kinds = {form: [] for form in FORMS if form != 'one'}
    near_by = distance[:, 0]
    for d, e in pairs:
        alone = count[d] == 0
        nearest = np.where(alone, np.minimum(count[e], 1), count[d])
        step = np.where(alone, np.floor((np.where(alone & (near_by < e), near_by, d) - d) / 0.05) + 1, 0)
        first = (distance < np.minimum(d + 0.05 * step, e)[:, None]).sum(axis=1)
        kinds['min2'].append(f1(nearest))
        kinds['two steps'].append(f1(np.where(alone, count[e], count[d])))
        kinds['steps'].append(f1(np.where(near_by < e, first, 0)))
        kinds['reciprocal min2'].append(both_ways(nearest))
        kinds['reciprocal steps'].append(both_ways(np.where(near_by < e, first, 0)))
    for kind, rows in kinds.items():
        out[kind] = (pairs, np.array(rows, np.float32))
    return out


def by_fold(data, table):
    """Settings x folds: the sums and how many rows they are of."""
    sums = np.stack([table[:, data.fold == f].sum(axis=1, dtype=np.float64) for f in range(a.folds)], axis=1)
    return sums, np.bincount(data.fold, minlength=a.folds)


def mean_over(parts, folds):
    """The score of every setting on `folds`: the mean of the sets' means."""
    return np.mean([sums[:, folds].sum(axis=1) / rows[folds].sum() for sums, rows in parts], axis=0)


def inner(parts, folds):
    """The mean over `folds` of the score on one, with the setting chosen on the others."""
    held = []
    for f in folds:
        rest = [g for g in folds if g != f]
        best = int(mean_over(parts, rest).argmax())
        held.append(mean_over(parts, [f])[best])
    return float(np.mean(held)), float(np.std(held))


def choose(parts, folds):
    """The candidate with the best inner score on `folds`, and its thresholds chosen on them."""
    name = max(parts, key=lambda n: inner(parts[n], folds)[0])
    return name, int(mean_over(parts[name], folds).argmax())


def rule(form, space, d, e):
    step = None if e is None else round(e - d, 6)
    return FORMS[form].format(s=space, d=d, e=e, step=step)


def nested(what, parts, settings, sets):
    """The outer loop over `parts` ({candidate: a list of by_fold of each set}); each line of the result is printed."""
    every = list(range(a.folds))
    outer = []
    for f in every:
        rest = [g for g in every if g != f]
        name, at = choose(parts, rest)
        each = [float(sums[at, f] / rows[f]) for sums, rows in parts[name]]
        outer.append({'fold': f, 'spaces': name[0], 'rule': rule(name[1], SPACES[name[0]][1], *settings[name][at]),
                      'f1': round(float(np.mean(each)), 4), 'sets': [round(x, 4) for x in each]})
    f1 = [o['f1'] for o in outer]
    columns = list(zip(*(o['sets'] for o in outer)))
    print(json.dumps({'what': 'nested', 'score': what, 'sets': sets, 'folds': a.folds, 'candidates': len(parts),
                      'f1': round(float(np.mean(f1)), 4), 'deviation': round(float(np.std(f1)), 4),
                      'f1_of_sets': [[round(float(np.mean(c)), 4), round(float(np.std(c)), 4)] for c in columns],
                      'outer': outer}), flush=True)


def confirm(sets, name, d, e, expected):
    """What engine match and evaluate say of the recipe, which must be what was computed here."""
    spaces, space = SPACES[name[0]]
    text = f'name = "doppel"\nfusion = "{rule(name[1], space, d, e)}"\n\n{spaces}'
    with tempfile.TemporaryDirectory() as scratch:
        recipe, out = os.path.join(scratch, 'r.toml'), os.path.join(scratch, 'm.csv')
        open(recipe, 'w').write(text)
        found = []
        for data, want in zip(sets, expected):
            engine('match', data.path, '--recipe', recipe, '--out', out, '--no-work')
            score = engine('evaluate', out, data.path)
            if abs(score['f1'] - want) > 2e-5:
                sys.exit(f'{data.name}: evaluate tells {score["f1"]}, computed here {want}')
            found.append({'set': data.name, **{k: round(score[k], 4) for k in ('f1', 'pair_f1', 'precision', 'recall', 'pair_precision', 'pair_recall')}})
    return text, found


def main():
    with tempfile.TemporaryDirectory() as scratch:
        sets = [Set(path, scratch) for path in a.sets]
        settings, parts = {}, {}
        for name, (spaces, space) in SPACES.items():
            if a.spaces and name not in a.spaces:
                continue
            tables = [scores(data, data.neighbours(spaces, space)) for data in sets]
            for form in FORMS:
                settings[name, form] = tables[0][form][0]
                parts[name, form] = [by_fold(data, t[form][1]) for data, t in zip(sets, tables)]
            print(name, file=sys.stderr, flush=True)
        every = list(range(a.folds))
        names = [data.name for data in sets]
        nobody = [float(np.mean(2.0 / (data.size + 1))) for data in sets]
        print(json.dumps({'what': 'nobody answered', 'sets': names, 'f1': [round(x, 4) for x in nobody]}), flush=True)
        ships, kept = {}, {}
        for name, of in parts.items():
            keep = [i for i, (d, _) in enumerate(settings[name]) if d >= a.least]
            if not any(p in name[0] for p in PAIRING):
                ships[name] = [(sums[keep], rows) for sums, rows in of]
                kept[name] = [settings[name][i] for i in keep]
        for which, found, known in (('all', parts, settings), ('ships', ships, kept)):
            for name, of in found.items():
                f1, deviation = inner(of, every)
                alone = [inner([part], every) for part in of]
                print(json.dumps({'what': 'candidate', 'among': which, 'spaces': name[0], 'form': name[1], 'f1_held_out': round(f1, 4), 'deviation': round(deviation, 4),
                                  'alone': {n: [round(x, 4) for x in s] for n, s in zip(names, alone)}}), flush=True)
            nested(f'{which}: the mean of the sets, thresholds shared', found, known, names)
            for s, data in enumerate(sets):
                nested(f'{which}: this set alone', {n: [of[s]] for n, of in found.items()}, known, [data.name])
            name, at = choose(found, every)
            f1, deviation = inner(found[name], every)
            expected = [float(sums[at].sum() / rows.sum()) for sums, rows in found[name]]
            text, told = confirm(sets, name, *known[name][at], expected)
            print(json.dumps({'what': 'chosen', 'among': which, 'spaces': name[0], 'form': name[1], 'rule': rule(name[1], SPACES[name[0]][1], *known[name][at]),
                              'f1_inner': round(f1, 4), 'deviation_inner': round(deviation, 4), 'on_all_listings': told}), flush=True)
        if a.recipe:
            open(a.recipe, 'w').write(text)


main()
