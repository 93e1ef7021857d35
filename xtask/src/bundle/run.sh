#!/bin/sh
# Runs everything that is to be known of doppel's kernels on this machine's card, and writes one JSON:
#
#   ./run.sh [RESULTS.json]
#
# Needs the NVIDIA driver (CUDA 13.0 or later) and nothing else. cuBLAS, PyTorch (python3 with torch and
# timm) and compute-sanitizer are used where they are. Exit code 0: all tests passed; 1: some did not, the
# JSON says which; 2: there is no card that can be used, and nothing was run.
set -u
out=${1:-results.json}
case $out in /*) ;; *) out=$PWD/$out ;; esac
cd "$(dirname "$0")" || exit 2
mkdir -p logs || exit 2
unset DOPPEL_SIMT DOPPEL_SIMT_REQUIRED

say() { echo "$*" >&2; }

info=$(./bin/engine info --json) || { say "error: bin/engine does not run here"; exit 2; }
case $info in
  *'"available":true'*) ;;
  *)
    reason=$(printf '%s' "$info" | sed -n 's/.*"reason":"\([^"]*\)".*/\1/p')
    say "error: nothing was run: ${reason:-no GPU}"
    exit 2
    ;;
esac
card=$(printf '%s' "$info" | sed -n 's/.*"cards":\[{[^]]*"name":"\([^"]*\)".*/\1/p')
say "card: $card"
failed=0

# The counts of a test binary's own summary.
count() { sed -n "s/^test result: .* \([0-9]*\) $2.*/\1/p" "$1" | awk '{ n += $1 } END { print n + 0 }'; }

# tests NAME [COMMAND...]: runs bin/NAME, under COMMAND; prints {"passed":..} and its exit code.
tests() {
  name=$1
  shift
  log=logs/$name${1:+-sanitizer}.log
  "$@" "./bin/$name" --test-threads=1 --show-output >"$log" 2>&1
  code=$?
  [ $code -eq 0 ] || tail -n 20 "$log" >&2
  printf '{"exit":%d,"passed":%d,"failed":%d}' $code "$(count "$log" passed)" "$(count "$log" failed)"
}

say "tests of every operation"
device=$(tests device)
case $device in '{"exit":0,'*) ;; *) failed=1 ;; esac
say "  $device"
say "tests of the driver"
probe=$(tests gpu_probe)
case $probe in '{"exit":0,'*) ;; *) failed=1 ;; esac
say "  $probe"

# json NAME COMMAND...: the JSON that a command writes to logs/NAME.json, or null.
json() {
  name=$1
  shift
  rm -f "logs/$name.json"
  if "$@" >"logs/$name.log" 2>&1 && [ -s "logs/$name.json" ]; then
    cat "logs/$name.json"
  else
    say "  $name: not run: $(grep '^error' "logs/$name.log" | tail -n 1)"
    printf null
  fi
}

say "errors against the oracle"
checked=$(json checked ./bin/engine bench --device cuda --check --quiet --out logs/checked.json)
say "times"
bench=$(json bench ./bin/engine bench --device cuda --quiet --out logs/bench.json)
[ "$checked" != null ] && [ "$bench" != null ] || failed=1

# PyTorch brings a cuBLAS of its own.
libraries=$(python3 -c 'import glob, sys; print(":".join(d for s in sys.path for d in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null)
say "cuBLAS"
cublas=$(LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}${libraries:+:$libraries}" json cublas ./bin/cublas --out logs/cublas.json)
say "PyTorch"
torch=$(json torch sh -c 'python3 ./torch_gpu.py --shapes logs/bench.json >logs/torch.json')

say "the whole job"
whole=$(json whole_job ./bin/whole_job --engine ./bin/engine --device cuda --out logs/whole_job.json)

sanitizer=null
tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
if [ -n "$tool" ]; then
  sanitizer=
  for check in memcheck racecheck synccheck; do
    say "$check"
    result=$(tests device "$tool" --tool $check --error-exitcode 9)
    mv logs/device-sanitizer.log "logs/$check.log"
    case $result in '{"exit":0,'*) ;; *) failed=1 ;; esac
    say "  $result"
    sanitizer="$sanitizer${sanitizer:+,}\"$check\":$result"
  done
  sanitizer="{$sanitizer}"
else
  say "compute-sanitizer: not here"
fi

{
  printf '{"date":"%s","card":"%s",\n' "$(date -u +%F)" "$card"
  printf '"manifest":%s,\n"info":%s,\n' "$(cat manifest.json)" "$info"
  printf '"tests":{"device":%s,"gpu_probe":%s},\n' "$device" "$probe"
  printf '"checked":%s,\n"bench":%s,\n' "$checked" "$bench"
  printf '"cublas":%s,\n"torch":%s,\n' "$cublas" "$torch"
  printf '"whole_job":%s,\n"sanitizer":%s}\n' "$whole" "$sanitizer"
} >"$out"
say "written: $out"
exit $failed
