#!/usr/bin/env python3
"""What recipes and options score on listings with titles alone, by `engine match`, `evaluate` and `tune`. Four kinds of lines:

recipe   every built-in recipe that needs neither weights, images nor given rows, as it is written
part     the TF-IDF part of built-in recipes that need encoders for the rest, as a recipe of its own with the same thresholds
option   one thing changed of one recipe (words, `words < D`): as written at D .6, and with thresholds chosen on the other of three
         folds of groups (as docs/beyond.md has it; what stands behind the rule takes no part in the choice)
pairs    the model of pairs over what `words < .75` matches: alone, with its twin, with the prior, as `engine tune` tells it

usage: recipes.py SET.csv [SET.csv ...] [--engine target/release/engine] [--only KIND ...]
"""
import argparse, collections, csv, json, os, subprocess, sys, tempfile

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('sets', nargs='+')
p.add_argument('--engine', default='target/release/engine')
p.add_argument('--only', nargs='+', default=['recipe', 'part', 'option', 'pairs'])
a = p.parse_args()

TAN = '[spaces.words]\ntfidf = { stop_words = "english", max_features = 25000 }\n'
PARTS = {
    'tan: TF-IDF of tan-dt-1 (one threshold)': ('words < .25', TAN),
    'tan: TF-IDF of tan-dt-2 (dynamic threshold)': ('sweep(words < .25 to .50 by .20)', TAN),
    'deotte: TF-IDF above .7': ('words > .7', '[spaces.words]\ntfidf = { stop_words = "english", binary = true, max_features = 25000 }\n'),
}
WORDS = '[spaces.words]\ntfidf = { sublinear_tf = true }\n'
LETTERS = '[spaces.letters]\ntfidf = { analyzer = "char_wb", ngram = [3, 5], sublinear_tf = true }\n'
RULE = 'words < .6'


def clean(*steps):
    return RULE, WORDS + f'clean = {json.dumps(steps)}\n'


def refine(step):
    return RULE, WORDS + f'refine = [{step}]\n'


def behind(line):
    return RULE, WORDS, line


def fused(how, rule='both < .5', weight=1, more=''):
    return rule, WORDS + LETTERS + f'[spaces.both]\nfused = {{ words = {weight}, letters = {weight} }}\nby = "{how}"\n{more}'


OPTIONS = {
    'as it is': (RULE, WORDS),
    'lower, English stems': clean('lower', 'stem_english'),
    'lower, Indonesian stems': clean('lower', 'stem_indonesian'),
    'promo words out': clean('promo'),
    'escapes': clean('escapes'),
    'units': behind('conflicts = ["units"]'),
    'agglomerate': behind('groups = { by = "agglomerate", floors = [], floor = 0.4 }'),
    'components': behind('groups = { by = "components", over = 2, weak = 0.6, betweenness = 0.1 }'),
    'attach': behind('groups = { by = "attach" }'),
    'chisel to the true shares': behind('chisel = CHISEL'),
    'min2': ('min2(words < .6, words < .7)', WORDS),
    'reciprocal': ('reciprocal(words < .6)', WORDS),
    'reciprocal min2': ('reciprocal(min2(words < .6, words < .7))', WORDS),
    'ranked': ('rank < .02', WORDS + '[spaces.rank]\nranked = "words"\n'),
    'alpha-QE, k 2, alpha .5': refine('{ expand = { k = 2, alpha = 0.5 } }'),
    'one_plus': refine('{ expand = { k = 2, alpha = 0.5, weight = "one_plus" } }'),
    'beside': refine('{ expand = { k = 2, alpha = 0.5, beside = true } }'),
    'blend': refine('{ blend = { distance = 0.4 } }'),
    'blend, units': refine('{ blend = { distance = 0.4, conflicts = ["units"] } }'),
    'letters': ('letters < .6', LETTERS),
    'letters, words: mean': fused('mean'),
    'letters, words: a + b - ab': fused('either'),
    'letters, words: power 6': fused('power', 'both > .5', 1.1904761904761905, 'power = 6\n'),
    'letters, words, both united': fused('mean', 'words < .5 or letters < .5 or both < .5'),
}


def engine(*words):
    done = subprocess.run([a.engine, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(words)}: exit {done.returncode}: {done.stderr.strip()}')
    return json.loads(done.stdout) if '--json' in words else done.stdout


def toml(rule, spaces, line=''):
    return f'name = "measured"\nfusion = "{rule}"\n{line}\n\n{spaces}'


def chisel(path):
    """The shares of the sizes above 1, as they are in the set: what `chisel` is told."""
    groups = collections.Counter(r['label_group'] for r in csv.DictReader(open(path, newline='')))
    rows = sum(groups.values())
    sizes = collections.Counter(groups.values())
    return json.dumps([[size, round(size * count / rows, 4)] for size, count in sorted(sizes.items()) if size > 1])


def matched(path, recipe, scratch):
    out = os.path.join(scratch, 'm.csv')
    ran = engine('match', path, '--recipe', recipe, '--out', out, '--no-work', '--json', '--quiet')
    score = engine('evaluate', out, path, '--json', '--quiet')
    told = {k: round(score[k], 4) for k in ('f1', 'precision', 'recall', 'pair_f1', 'pair_precision', 'pair_recall')}
    return {**told, 'seconds': round(ran['seconds'], 3)}


def say(**line):
    print(json.dumps(line), flush=True)


def runs_alone(name):
    """Whether a built-in recipe needs titles alone."""
    shown = engine('recipes', 'show', name, '--json')
    text = shown['toml']
    needs = ('\nimage = ', '\ntext = ', '\ncolours = ', '\npair = ', '\ngiven = ', '\nfile = ')
    return not any(key in text for key in needs)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        recipe = os.path.join(scratch, 'r.toml')
        for path in a.sets:
            name = os.path.splitext(os.path.basename(path))[0]
            if 'recipe' in a.only:
                listed = engine('recipes', '--json')
                for of in (r['name'] for r in (listed['recipes'] if isinstance(listed, dict) else listed)):
                    if runs_alone(of):
                        say(what='recipe', set=name, recipe=of, **matched(path, of, scratch))
            for part, (rule, spaces) in PARTS.items() if 'part' in a.only else ():
                open(recipe, 'w').write(toml(rule, spaces))
                say(what='part', set=name, recipe=part, rule=rule, **matched(path, recipe, scratch))
            for option, of in OPTIONS.items() if 'option' in a.only else ():
                text = toml(*of).replace('CHISEL', chisel(path))
                open(recipe, 'w').write(text)
                written = matched(path, recipe, scratch)
                tuned = os.path.join(scratch, 't.toml')
                found = engine('tune', path, '--recipe', recipe, '--folds', '3', '--out', tuned, '--json', '--quiet')
                after = matched(path, tuned, scratch)
                whole = found['folds']['whole']
                say(what='option', set=name, option=option, written=of[0], f1_written=written['f1'], pair_f1_written=written['pair_f1'],
                    f1_held_out=round(whole['f1'], 4), deviation=round(whole['deviation'], 4), f1_tuned=after['f1'], pair_f1_tuned=after['pair_f1'],
                    tuned=next(l for l in open(tuned) if l.startswith('fusion')).strip())
            for how in ([], ['--pair-twin'], ['--pair-prior'], ['--pair-twin', '--pair-prior']) if 'pairs' in a.only else ():
                open(recipe, 'w').write(toml('words < .75', WORDS))
                model = os.path.join(scratch, 'pairs.json')
                found = engine('tune', path, '--recipe', recipe, '--pair-model', model, '--folds', '3', *how, '--out', os.path.join(scratch, 't.toml'), '--json', '--quiet')
                say(what='pairs', set=name, options=how, model_bytes=os.path.getsize(model), told={k: v for k, v in found.items() if not isinstance(v, (list, str))})


main()
