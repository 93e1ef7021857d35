#!/usr/bin/env python3
"""The main job, measured: `engine match` and `engine evaluate` over listings, several times; F1, seconds a stage and peak
memory, the medians, as one JSON line each.

usage: main_job.py NAME=LISTINGS.csv[:IMAGES] ... [--runs 5] [--engine target/release/engine]
       NAME=@N makes N synthetic titles (titles.py)
"""
import argparse, json, os, statistics, subprocess, sys, tempfile

p = argparse.ArgumentParser(description=__doc__)
p.add_argument('sets', nargs='+')
p.add_argument('--runs', type=int, default=5)
p.add_argument('--engine', default='target/release/engine')
p.add_argument('--no-images', action='store_true', help='do not give the images even where they are named')
p.add_argument('--no-titles', action='store_true', help='empty the titles first: the images alone')
a = p.parse_args()


def engine(*words):
    done = subprocess.run([a.engine, *words, '--json', '--quiet'], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(words)}: exit {done.returncode}: {done.stderr.strip()}')
    return json.loads(done.stdout)


def without_titles(source, target):
    import csv
    with open(source, newline='') as f, open(target, 'w', newline='') as g:
        rows = csv.DictReader(f)
        w = csv.DictWriter(g, rows.fieldnames, lineterminator='\n')
        w.writeheader()
        w.writerows({**r, 'title': ''} for r in rows)


with tempfile.TemporaryDirectory() as scratch:
    out = os.path.join(scratch, 'matches.csv')
    for spec in a.sets:
        name, rest = spec.split('=', 1)
        listings, _, images = rest.partition(':')
        if listings.startswith('@'):
            n = listings[1:]
            listings = os.path.join(scratch, 'synthetic.csv')
            with open(listings, 'w') as f:
                subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), 'titles.py'), n, '--csv'], stdout=f, check=True)
        if a.no_titles:
            without_titles(listings, os.path.join(scratch, 'bare.csv'))
            listings = os.path.join(scratch, 'bare.csv')
        # Each run does all of the work, and keeps what it made.
        words = ['match', listings, '--out', out, '--fresh'] + (['--images', images] if images and not a.no_images else [])
        runs = [engine(*words) for _ in range(a.runs)]
        score = engine('evaluate', out, listings)
        stages = {s['name']: statistics.median(x['seconds'] for r in runs for x in r['stages'] if x['name'] == s['name']) for s in runs[0]['stages']}
        print(json.dumps({
            'what': 'main job', 'set': name, 'evidence': 'images' if a.no_titles else 'titles and images' if images and not a.no_images else 'titles',
            'listings': runs[0]['listings'], 'runs': a.runs,
            'f1': score['f1'], 'precision': score['precision'], 'recall': score['recall'], 'pair_f1': score['pair_f1'],
            'seconds': {'median': statistics.median(r['seconds'] for r in runs), 'min': min(r['seconds'] for r in runs), 'max': max(r['seconds'] for r in runs)},
            'stages': stages, 'peak_memory_mib': round(max(r['peak_memory_bytes'] for r in runs) / 2**20, 1),
        }), flush=True)
