#!/usr/bin/env python3
"""The whole job at full size, with no rival: a made-up market with pictures, one run from listings to matches with a small encoder
of images, a run that is killed in the middle of the images and goes on, and a run that finds everything there; then what comes
after the searches, alone. Seconds a stage and peak memory, as JSON lines.

usage: pipeline.py --weights RESNET18.safetensors [--listings 70000] [--pixels 128] [--size 64] [--target target/release]
       The weights may be random: the run is timed, not scored.
"""
import argparse, filecmp, json, os, signal, subprocess, sys, tempfile, time

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('--weights', required=True)
p.add_argument('--listings', type=int, default=70000)
p.add_argument('--pixels', type=int, default=128, help='the longer side of the drawn pictures')
p.add_argument('--size', type=int, default=64, help='what the encoder sees')
p.add_argument('--target', default='target/release')
a = p.parse_args()
ENGINE = os.path.join(a.target, 'engine')
RECIPE = '''
name = "whole-job"
fusion = "equal(phash) or sweep(image < .002 to .010 by .002, words < .25 to .50 by .20)"
[spaces.phash]
phash = true
[spaces.words]
tfidf = {{ stop_words = "english", max_features = 25000 }}
[spaces.image]
image = "timm:resnet18"
weights = "{}"
size = {}
refine = [ {{ expand = {{ k = 2, alpha = 3 }} }}, {{ blend = {{ distance = 0.005 }} }} ]
'''


def run(*words):
    done = subprocess.run([ENGINE, *words, '--json', '--quiet'], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(words)}: exit {done.returncode}: {done.stderr.strip()}')
    return json.loads(done.stdout)


def stages(told):
    named = lambda s: ' '.join(filter(None, [s['name'], s.get('space')])) + (' (reused)' if s['reused'] else '')
    return {named(s): round(s['seconds'], 3) for s in told['stages']}


def told(what, x, **more):
    print(json.dumps({
        'what': what, 'listings': x['listings'], 'seconds': round(x['seconds'], 2), 'stages': stages(x),
        'peak_memory_mib': round(x['peak_memory_bytes'] / 2**20, 1), **more,
    }), flush=True)


with tempfile.TemporaryDirectory() as scratch:
    at = lambda name: os.path.join(scratch, name)
    n = str(a.listings)
    told('synth without images', run('synth', '--listings', n, '--no-images', '--out', at('bare')))
    told('synth with images', run('synth', '--listings', n, '--size', str(a.pixels), '--out', at('market')), pixels=a.pixels)
    with open(at('recipe.toml'), 'w') as f:
        f.write(RECIPE.format(os.path.abspath(a.weights), a.size))
    words = ['match', at('market/listings.csv'), '--images', at('market/images'), '--recipe', at('recipe.toml')]

    def files(name):
        return ['--out', at(name + '.csv'), '--pairs', at(name + '.pairs.csv'), '--work', at(name + '.work')]

    whole = run(*words, *files('whole'))
    embedding = next(s['seconds'] for s in whole['stages'] if s['name'] == 'embed')
    told('match', whole, encoder=f'resnet18 at {a.size} px', images_per_second=round(
        next(s['items'] for s in whole['stages'] if s['name'] == 'embed') / embedding, 1), matched_pairs=whole['matched_pairs'])

    # Killed when about half of the images are encoded.
    killed = subprocess.Popen([ENGINE, *words, *files('killed'), '--progress', 'lines'], stderr=subprocess.PIPE, text=True)
    for line in killed.stderr:
        if 'embed' in line and 'begins' in line:
            break
    time.sleep(embedding / 2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    resumed = run(*words, *files('killed'))
    same = all(filecmp.cmp(at('whole' + e), at('killed' + e), shallow=False) for e in ('.csv', '.pairs.csv'))
    if not same:
        sys.exit('a run that was killed gives other bytes')
    told('match, killed after half of the images, then run again', resumed, bytes_equal=same)
    again = run(*words, *files('whole'))
    told('match, run again', again)
post = subprocess.run([os.path.join(a.target, 'examples/bench_post')], capture_output=True, text=True, check=True)
print(json.dumps({'what': 'after the searches', **json.loads(post.stdout)}), flush=True)
