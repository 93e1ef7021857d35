#!/usr/bin/env python3
"""Each option of matching, measured: F1 of the recipes of the folder options/ as they are written, tuned on all listings, and
tuned on folds of groups and scored on the listings of the fold that was held out, answered from all listings (and, as `alone`, from
that fold alone). One JSON line for each set and recipe.

usage: options.py DATA [--weights DIR] [--sets NAME ...] [--only RECIPE ...] [--folds 5] [--engine target/release/engine]
                  [--table TABLE.md] [--work DIR]
       DATA holds abt-buy.csv, amazon-google.csv, and grocery/listings.csv with grocery/images/. DIR holds an encoder of titles
       as DIR/minilm; without it the recipes with one are left out. Recipes with hashes run where there are images.
"""
import argparse, json, os, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('data')
p.add_argument('--weights', help='the folder that the encoder of titles is in, as minilm')
p.add_argument('--sets', nargs='+', default=['abt-buy', 'amazon-google', 'grocery'])
p.add_argument('--only', nargs='+', help='recipes by name, such as inb-2')
p.add_argument('--folds', type=int, default=5)
p.add_argument('--engine', default='target/release/engine')
p.add_argument('--table', help='where a table of all goes, as Markdown')
p.add_argument('--work', help='a folder for what encoders make, kept from run to run')
a = p.parse_args()


def engine(*words):
    start = time.perf_counter()
    done = subprocess.run([a.engine, *words, '--json', '--quiet'], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f'{" ".join(words)}: exit {done.returncode}: {done.stderr.strip()}')
    return json.loads(done.stdout), time.perf_counter() - start


def recipes():
    folder = os.path.join(HERE, 'options')
    for file in sorted(os.listdir(folder)):
        name = file.removesuffix('.toml')[3:]
        if file.endswith('.toml') and (not a.only or name in a.only):
            path = os.path.join(folder, file)
            yield name, path, open(path).read()


def place(name):
    """The listings of a set and its images, if it has any."""
    one = os.path.join(a.data, name + '.csv')
    if os.path.exists(one):
        return one, None
    images = os.path.join(a.data, name, 'images')
    return os.path.join(a.data, name, 'listings.csv'), images if os.path.isdir(images) else None


def about(text):
    line = next((l for l in text.splitlines() if l.startswith('about = ')), '')
    return line.removeprefix('about = ').strip('"')


def measure(scratch, name, recipe, path, text):
    listings, images = place(name)
    words = ['--recipe', path]
    if '\ntext = ' in text:
        words += ['--weights', a.weights]
    if images:
        words += ['--images', images]
    tuned, matches = os.path.join(scratch, 'tuned.toml'), os.path.join(scratch, 'matches.csv')
    work = ['--work', os.path.join(a.work or scratch, name + '.work')]
    found, seconds = engine('tune', listings, *words, *work, '--folds', str(a.folds), '--out', tuned)
    # What `match` and `evaluate` say of both recipes is what counts; `tune` must have told the same.
    scores = []
    for recipe_words, told in ((words, found['before']), (['--recipe', tuned] + words[2:], found['after'])):
        if recipe_words[1] == tuned and '--weights' in recipe_words:
            at = recipe_words.index('--weights')
            recipe_words = recipe_words[:at] + recipe_words[at + 2:]
        ran, _ = engine('match', listings, *recipe_words, *work, '--out', matches)
        score, _ = engine('evaluate', matches, listings)
        if abs(score['f1'] - told['f1']) > 1e-9:
            sys.exit(f'{name} {recipe}: tune tells F1 {told["f1"]}, evaluate {score["f1"]}')
        scores.append((score, ran['seconds']))
    (before, _), (after, match_seconds) = scores
    fusion = next(l for l in open(tuned) if l.startswith('fusion')).strip()
    return {
        'what': 'options', 'set': name, 'recipe': recipe, 'about': about(text), 'listings': found['listings'], 'folds': a.folds,
        'f1_written': round(before['f1'], 4), 'f1_tuned': round(after['f1'], 4),
        'precision_tuned': round(after['precision'], 4), 'recall_tuned': round(after['recall'], 4),
        'f1_held_out': round(found['folds']['whole']['f1'], 4), 'f1_held_out_deviation': round(found['folds']['whole']['deviation'], 4),
        'f1_held_out_alone': round(found['folds']['alone']['f1'], 4), 'f1_held_out_alone_written': round(found['folds']['alone']['before'], 4),
        'tuned': fusion,
        'blends': [{k: b['curve']['best'][k] for k in ('distance', 'f1')} for b in found['blends']],
        'seconds_match': round(match_seconds, 3), 'seconds_tune': round(seconds, 2),
    }


def table(rows):
    sets = list(dict.fromkeys(r['set'] for r in rows))
    names = list(dict.fromkeys(r['recipe'] for r in rows))
    head = ['recipe', 'what it does'] + [f'{s}: written / tuned / held out' for s in sets]
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    for name in names:
        of = {r['set']: r for r in rows if r['recipe'] == name}
        cells = [name, next(iter(of.values()))['about']]
        for s in sets:
            r = of.get(s)
            cells.append(f"{r['f1_written']:.3f} / {r['f1_tuned']:.3f} / {r['f1_held_out']:.3f} ± {r['f1_held_out_deviation']:.3f}" if r else '')
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


rows = []
if a.work:
    os.makedirs(a.work, exist_ok=True)
with tempfile.TemporaryDirectory() as scratch:
    for name in a.sets:
        for recipe, path, text in recipes():
            if '\ntext = ' in text and not a.weights or '\nphash = ' in text and not place(name)[1]:
                continue
            rows.append(measure(scratch, name, recipe, path, text))
            print(json.dumps(rows[-1]), flush=True)
if a.table:
    with open(a.table, 'w') as f:
        f.write(table(rows))
