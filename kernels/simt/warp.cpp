// Operations of a warp: lanes meet, the last one works out every lane's result.

#include "simt/card.h"
#include "simt/matrix_unit.h"
#include "simt/sanitizer.h"

namespace simt {

namespace {

// The lane that `f`'s shuffle reads (PTX ISA, "shfl.sync").
unsigned source_of(const Fiber& f) {
  const Request& r = f.request;
  unsigned lane = f.lane, width = static_cast<unsigned>(r.width), by = static_cast<unsigned>(r.argument);
  unsigned first = lane & ~(width - 1), last = first + width - 1;
  switch (r.op) {
    case WarpOp::ShuffleUp: return lane < first + by ? lane : lane - by;
    case WarpOp::ShuffleDown: return lane + by > last ? lane : lane + by;
    case WarpOp::ShuffleXor: return (lane ^ by) > last ? lane : lane ^ by;
    default: return first + (by & (width - 1));
  }
}

void shuffle(Warp& warp, unsigned mask) {
  for (unsigned l = 0; l < WARP; l++) {
    if (!(mask >> l & 1)) continue;
    Fiber& f = *warp.lanes[l];
    unsigned source = source_of(f);
    if (!(mask >> source & 1)) {
      fail(f.request.site, "%s: lane %u reads lane %u, which is not in the mask 0x%08x", name_of(f.request.op), l,
           source, mask);
    }
    f.result = warp.lanes[source]->request.value;
  }
}

void vote(Warp& warp, unsigned mask) {
  unsigned ballot = 0;
  WarpOp op = card.running->request.op;
  for (unsigned l = 0; l < WARP; l++) {
    if (mask >> l & 1 && warp.lanes[l]->request.value) ballot |= 1u << l;
  }
  uint64_t result = op == WarpOp::Ballot ? ballot : op == WarpOp::Any ? ballot != 0 : ballot == mask;
  for (unsigned l = 0; l < WARP; l++) {
    if (mask >> l & 1) warp.lanes[l]->result = result;
  }
}

void check(const Request& r, const Warp& warp, unsigned lane) {
  const char* name = name_of(r.op);
  if (!(r.mask >> lane & 1)) fail(r.site, "%s: lane %u is not in its own mask 0x%08x", name, lane, r.mask);
  if (unsigned gone = r.mask & ~warp.live) {
    fail(r.site, "%s: the mask 0x%08x names lanes that have ended or never were (0x%08x)", name, r.mask, gone);
  }
  if (r.op < WarpOp::Shuffle || r.op > WarpOp::ShuffleXor) return;
  if (r.width < 1 || r.width > 32 || (r.width & (r.width - 1))) {
    fail(r.site, "%s: width %d is not a power of two up to 32", name, r.width);
  }
  if (r.op != WarpOp::Shuffle && (r.argument < 0 || r.argument > 31)) {
    fail(r.site, "%s by %d: needs 0 to 31", name, r.argument);
  }
}

bool alike(const Request& r, const Warp::Meeting& meeting, const Warp& warp) {
  if (r.op != meeting.op) return false;
  if (r.op < WarpOp::Ldmatrix) return true;
  const Request& other = warp.lanes[__builtin_ctz(meeting.arrived)]->request;
  return r.value == other.value && r.argument == other.argument;
}

// The open meeting that the lane joins or founds.
Warp::Meeting& join(Warp& warp, const Request& r) {
  for (auto& m : warp.meetings) {
    if (m.mask != r.mask) continue;
    if (!alike(r, m, warp)) {
      fail(r.site, "%s: other lanes of the mask 0x%08x wait in %s at %s:%d", name_of(r.op), r.mask, name_of(m.op),
           m.site.file, m.site.line);
    }
    return m;
  }
  Quiet quiet;
  warp.meetings.push_back({r.op, r.mask, 0, warp.instances++, r.site});
  return warp.meetings.back();
}

void work_out(Warp& warp, WarpOp op, unsigned mask) {
  switch (op) {
    case WarpOp::Sync: break;
    case WarpOp::Shuffle:
    case WarpOp::ShuffleUp:
    case WarpOp::ShuffleDown:
    case WarpOp::ShuffleXor: shuffle(warp, mask); break;
    case WarpOp::Ballot:
    case WarpOp::Any:
    case WarpOp::All: vote(warp, mask); break;
    case WarpOp::Ldmatrix:
    case WarpOp::Stmatrix: find_elements(warp); break;
    case WarpOp::Mma: multiply_matrices(warp); break;
  }
}

void close(Warp& warp, const Warp::Meeting& meeting) {
  for (unsigned l = 0; l < WARP; l++) {
    if (meeting.mask >> l & 1) warp.lanes[l]->state = Fiber::Ready;
  }
  Quiet quiet;
  warp.meetings.erase(warp.meetings.begin() + (&meeting - warp.meetings.data()));
}

}  // namespace

uint64_t warp_operation(const Request& request) {
  Fiber& me = *card.running;
  Warp& warp = *me.warp;
  check(request, warp, me.lane);
  Warp::Meeting& meeting = join(warp, request);
  me.request = request;
  auto number = static_cast<size_t>(&warp - me.block->warps.data());
  char* order = &me.block->orders->warps[number][meeting.instance % 64];
  if (request.op == WarpOp::Sync) release(order);
  meeting.arrived |= 1u << me.lane;
  if (meeting.arrived != meeting.mask) {
    wait(Fiber::Wait::Warp, name_of(request.op), request.site);
  } else {
    work_out(warp, request.op, request.mask);
    close(warp, meeting);
  }
  if (request.op == WarpOp::Sync) acquire(order);
  return me.result;
}

}  // namespace simt
