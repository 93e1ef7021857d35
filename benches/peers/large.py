#!/usr/bin/env python3
"""What recipes cost at 70,000 made-up titles: the stages of `engine match` (wall seconds), the seconds and the processor seconds
of the whole process, and with --report the page's size. Nothing here says how good matches are.

usage: large.py [RECIPE ...] [--listings 70000] [--engine target/release/engine]
       RECIPE is a built-in one or a file; without any: default, doppel, and default with each way of making groups.
"""
import argparse, json, os, resource, subprocess, sys, tempfile, time

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('recipes', nargs='*')
p.add_argument('--listings', type=int, default=70000)
p.add_argument('--engine', default='target/release/engine')
a = p.parse_args()

WORDS = '''name = "words"
fusion = "sweep(words < 0.25 to 0.5 by 0.2)"
GROUPS

[spaces.words]
tfidf = { stop_words = "english", max_features = 25000 }
'''
WAYS = ('components', 'agglomerate', 'attach')


def engine(*words):
    """What a verb tells, its seconds, and its processor seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([a.engine, *words, '--json', '--quiet'], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f'{" ".join(words)}: exit {done.returncode}: {done.stderr.strip()}')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), {'seconds': round(time.perf_counter() - start, 2), 'cpu_seconds': round(cpu, 2)}


with tempfile.TemporaryDirectory() as scratch:
    market = os.path.join(scratch, 'market')
    _, spent = engine('synth', '--listings', str(a.listings), '--seed', '7', '--out', market, '--no-images')
    listings = os.path.join(market, 'listings.csv')
    print(json.dumps({'what': 'synth', 'listings': a.listings, 'load': os.getloadavg()[0], **spent}), flush=True)
    jobs = [(r, r) for r in a.recipes]
    if not jobs:
        jobs = [('default', 'default'), ('doppel', 'doppel')]
        for way in WAYS:
            path = os.path.join(scratch, way + '.toml')
            open(path, 'w').write(WORDS.replace('GROUPS', f'groups = {{ by = "{way}" }}'))
            jobs.append((f'default, groups by {way}', path))
    for name, recipe in jobs:
        out, page = os.path.join(scratch, 'm.csv'), os.path.join(scratch, 'report.html')
        for report in ([], ['--report', page]) if name in ('default', 'doppel') else ([],):
            ran, spent = engine('match', listings, '--recipe', recipe, '--out', out, '--no-work', *report)
            stages = {}
            for s in ran['stages']:
                stages[s['name']] = round(stages.get(s['name'], 0) + s['seconds'], 3)
            size = {'report_bytes': os.path.getsize(page)} if report else {}
            print(json.dumps({'what': 'match', 'recipe': name, 'listings': ran['listings'], 'report': bool(report), 'load': os.getloadavg()[0],
                              **spent, **size, 'stages': stages, 'peak_memory_bytes': ran['peak_memory_bytes']}), flush=True)
