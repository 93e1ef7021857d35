#!/usr/bin/env python3
"""Runs scripts of this folder one after the other and writes what they print as one record.

usage: record.py --out RUN.json [--machine WORDS] -- SCRIPT [ARG ...] [-- SCRIPT [ARG ...] ...]
"""
import datetime, json, os, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))


def text(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    return done.stdout.strip()


def cpu():
    facts = {}
    for line in open('/proc/cpuinfo'):
        key, _, value = line.partition(':')
        facts.setdefault(key.strip(), value.strip())
    flags = facts.get('flags', '').split()
    return {
        'model': facts.get('model name'), 'cores': os.cpu_count(),
        'features': [f for f in ('avx2', 'fma', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'avx512_fp16', 'amx_bf16') if f in flags],
        'memory_gib': round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
    }


def packages():
    from importlib.metadata import PackageNotFoundError, version
    found = {}
    for name in ('numpy', 'scipy', 'scikit-learn', 'faiss-cpu', 'sparse_dot_topn', 'ImageHash', 'pillow', 'torch', 'torchvision', 'timm', 'transformers', 'sentence-transformers', 'onnxruntime'):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    return found


def objects(text):
    """The JSON objects that stand in a text, over one line or several."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find('{', at)) >= 0:
        found, at = decoder.raw_decode(text, at)
        yield found


words = sys.argv[1:]
head, jobs = [], []
for word in words:
    if word == '--':
        jobs.append([])
    elif jobs:
        jobs[-1].append(word)
    else:
        head.append(word)
options = dict(zip(head[::2], head[1::2]))
if '--out' not in options or not jobs:
    sys.exit(__doc__)
results = []
for job in jobs:
    done = subprocess.run([sys.executable, os.path.join(HERE, job[0]), *job[1:]], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f'{job[0]} failed: exit {done.returncode}')
    # Folders by their last name: where they stand is this machine's affair.
    shown = [os.path.basename(w.rstrip('/').split('=')[0]) if '/' in w else w for w in job]
    for found in objects(done.stdout):
        results.append({'command': ' '.join(shown), **found})
        print(json.dumps(found), flush=True)
record = {
    'date': datetime.date.today().isoformat(), 'machine': options.get('--machine', ''), 'cpu': cpu(),
    'commit': text('git', 'rev-parse', '--short', 'HEAD'), 'changed': bool(text('git', 'status', '--porcelain', '--', '../../src')),
    'rustc': text('rustc', '--version'), 'python': sys.version.split()[0], 'packages': packages(), 'results': results,
}
with open(options['--out'], 'w') as f:
    json.dump(record, f, indent=1)
    f.write('\n')
