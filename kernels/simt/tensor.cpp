// Bulk tensor copies: what a box covers, loads that land early or late, stores in groups.

#include "simt/tensor.h"

#include <algorithm>
#include <list>

#include "simt/async.h"
#include "simt/mbarrier_unit.h"
#include "simt/tensor_map.h"
#include "simt/tensor_unit.h"

namespace simt {

namespace {

// A box of a tensor, and where it stands in shared memory.
struct Box {
  Encoded map;
  int at[5];
  uint16_t offset[2];
  size_t shared;  // from the start of the dynamic shared memory
};

struct Load {
  Fiber* issuer;
  Site site;
  Box box;
  size_t bar;
  uint32_t blocks;
};
std::vector<Load> loads;  // late ones, oldest first

struct Store {
  Site site;
  Box box;
  unsigned group;
  bool waited;  // for its reading
  bool read, written;
  std::vector<unsigned char> bytes;
  char orders[2];  // for the race detector: read, written
};
struct Stores {
  std::list<Store> open;
  unsigned groups;
};
std::map<const Fiber*, Stores> stores;

// Calls f(line, bytes, skip, valid) for each line of the box: `valid` bytes at `bytes` are the tensor's
// and stand `skip` bytes into the line; what else the line has lies outside the tensor.
template <class F>
void each_line(const Box& box, F f) {
  const Encoded& map = box.map;
  int64_t first = box.at[0], count = map.im2col ? map.channels : map.box[0];
  int64_t low = first < 0 ? std::min(-first, count) : 0, high = std::max(low, std::min(count, map.size(0) - first));
  auto skip = static_cast<size_t>(low * map.element), valid = static_cast<size_t>((high - low) * map.element);
  auto* base = reinterpret_cast<unsigned char*>(map.address) + (first + low) * map.element;
  int64_t w = box.at[1], h = box.at[2], n = box.at[3];
  unsigned lines = map.lines();
  for (unsigned line = 0; line < lines; line++) {
    bool inside = valid > 0;
    int64_t from = 0;
    auto step = [&](int dimension, int64_t index) {
      inside = inside && index >= 0 && index < map.size(dimension);
      from += index * map.stride(dimension - 1);
    };
    if (map.im2col) {
      step(1, w + box.offset[0]);
      step(2, h + box.offset[1]);
      step(3, n);
      // To the window's next place: along w, then h, then to the next image.
      w += map.steps[0];
      if (w >= map.size(1) + map.upper[0]) {
        w = map.lower[0];
        h += map.steps[1];
      }
      if (h >= map.size(2) + map.upper[1]) {
        h = map.lower[1];
        n++;
      }
    } else {
      unsigned rest = line;
      for (int i = 1; i < map.rank; i++) {
        step(i, int64_t(box.at[i]) + rest % map.box[i]);
        rest /= map.box[i];
      }
    }
    f(line, inside ? base + from : nullptr, inside ? skip : 0, inside ? valid : 0);
  }
}

void copy_plainly(unsigned char* to, const unsigned char* from, size_t n) {
  for (size_t i = 0; i < n; i++) static_cast<volatile unsigned char*>(to)[i] = from[i];
}

bool goes_to(const Load& load, const Block& block) { return load.blocks >> block.rank & 1; }

void poison_destination(const Load& load) {
  static const uint64_t nan[2] = {~uint64_t(0), ~uint64_t(0)};
  for (Block& block : card.blocks) {
    if (!goes_to(load, block)) continue;
    for (size_t i = 0; i < load.box.map.bytes(); i += 16) write_known(block, load.box.shared + i, nan);
  }
}

// Writes the box into every block it goes to, and counts its bytes there.
void land(const Load& load) {
  void*& engine = copy_engine(*load.issuer);
  const Encoded& map = load.box.map;
  unsigned width = map.line_bytes();
  each_line(load.box, [&](unsigned line, const unsigned char* from, size_t skip, size_t valid) {
    alignas(16) unsigned char bytes[2048] = {};
    copy_plainly(bytes + skip, from, valid);
    for (Block& block : card.blocks) {
      if (!goes_to(load, block)) continue;
      for (unsigned i = 0; i < width; i += 16) {
        write_known(block, swizzled(load.box.shared + line * width + i, map.swizzle), bytes + i);
      }
    }
    AsEngine as(engine);
    if (valid > 0) tell_read(from, valid);
  });
  for (Block& block : card.blocks) {
    if (!goes_to(load, block) || card.faulted) continue;
    {
      AsEngine as(engine);
      tell_write(block.shared + load.box.shared, map.bytes());
    }
    auto* bar = reinterpret_cast<uint64_t*>(block.shared + load.bar);
    Mbarrier* m = mbarrier_at(bar, *load.issuer, "a tensor load", load.site);
    if (m != nullptr) complete_bytes(*m, map.bytes(), engine, *load.issuer, load.site);
  }
}

const Encoded& decode(const TensorMap& map, Site site) {
  auto& encoded = reinterpret_cast<const Encoded&>(map);
  if (!is_good(encoded)) fail(site, "the tensor map was not encoded, was changed, or its buffer is gone");
  return encoded;
}

// What a load and a store have in common; checked.
Box box_of(const TensorRequest& r, const char* what) {
  need_hopper(what, r.site);
  Box box{decode(*r.map, r.site), {}, {r.offset[0], r.offset[1]}, 0};
  const Encoded& map = box.map;
  if (map.rank != r.rank) fail(r.site, "%s of rank %d with a tensor map of rank %d", what, r.rank, map.rank);
  if (map.im2col != r.im2col) fail(r.site, "%s: the tensor map is %sfor im2col", what, map.im2col ? "" : "not ");
  check_aligned(r.shared, map.repeat(), what, r.site);
  const Block& block = *card.running->block;
  if (!block.is_shared(r.shared, map.bytes())) {
    fail(r.site, "%s: its %u bytes are not in the block's dynamic shared memory", what, map.bytes());
  }
  box.shared = static_cast<size_t>(static_cast<unsigned char*>(r.shared) - block.shared);
  for (int i = 0; i < r.rank; i++) box.at[i] = r.at[i];
  return box;
}

void check_window(const Box& box, Site site) {
  for (int i = 0; i < 2; i++) {
    int at = box.at[i + 1];
    if (at < box.map.lower[i] || at >= box.map.size(i + 1) + box.map.upper[i]) {
      fail(site, "im2col: the first place, %c = %d, is outside the bounding box", "wh"[i], at);
    }
    if (box.offset[i] > 255) fail(site, "im2col: an offset is 0 to 255, not %u", box.offset[i]);
  }
}

void check_blocks(const Load& load) {
  if (load.blocks >> card.blocks.size() != 0) {
    fail(load.site, "a multicast to blocks 0x%x of a cluster of %zu", load.blocks, card.blocks.size());
  }
  for (Block& block : card.blocks) {
    if (!goes_to(load, block)) continue;
    auto* bar = reinterpret_cast<uint64_t*>(block.shared + load.bar);
    Mbarrier* m = mbarrier_at(bar, *load.issuer, "a tensor load", load.site);
    if (m != nullptr && !m->shown) {
      fail(load.site, "the mbarrier was not shown to the copy engine (mbarrier_fence_init)");
    }
  }
}

void read_store(Store& store, const Fiber& fiber) {
  if (store.read) return;
  store.read = true;
  const Encoded& map = store.box.map;
  const unsigned char* shared = fiber.block->shared;
  for (unsigned i = 0; i < map.bytes(); i += 16) {
    copy_16(&store.bytes[i], shared + swizzled(store.box.shared + i, map.swizzle));
  }
  AsEngine as(copy_engine(fiber));
  tell_read(shared + store.box.shared, map.bytes());
  release(&store.orders[0]);
}

void write_store(Store& store, const Fiber& fiber) {
  if (store.written) return;
  store.written = true;
  unsigned width = store.box.map.line_bytes();
  AsEngine as(copy_engine(fiber));
  each_line(store.box, [&](unsigned line, unsigned char* to, size_t skip, size_t valid) {
    copy_plainly(to, &store.bytes[line * width + skip], valid);
    if (valid > 0) tell_write(to, valid);
  });
  release(&store.orders[1]);
}

}  // namespace

void check_map(const TensorMap& map, Site site) {
  need_hopper("tensor_prefetch", site);
  decode(map, site);
}

void queue_load(const TensorRequest& r) {
  Fiber& me = *card.running;
  Load load{&me, r.site, box_of(r, "a tensor load"), 0, r.blocks};
  if (load.blocks == 0) load.blocks = 1u << me.block->rank;
  if (r.im2col) check_window(load.box, r.site);
  if (!me.block->is_shared(r.bar, 8)) fail(r.site, "a tensor load counts at an mbarrier of the own block");
  load.bar = static_cast<size_t>(reinterpret_cast<unsigned char*>(r.bar) - me.block->shared);
  check_blocks(load);
  hand_over(copy_engine(me));
  if (!card.schedule.late_copies) return land(load);
  poison_destination(load);
  Quiet quiet;
  loads.push_back(load);
}

bool land_late() {
  if (loads.empty()) return false;
  // The newest, the oldest, or any: no order is promised.
  size_t last = loads.size() - 1, i = last;
  if (card.schedule.order == Order::Reverse) i = 0;
  if (card.schedule.order == Order::Random) i = random_below(static_cast<uint32_t>(loads.size()));
  Load load = loads[i];
  loads.erase(loads.begin() + static_cast<long>(i));
  land(load);
  return true;
}

void drop_loads() {
  Quiet quiet;
  loads.clear();
  stores.clear();
}

void check_ended_loads(const Block& block) {
  for (const Load& load : loads) {
    if (!goes_to(load, block)) continue;
    blame(*load.issuer, load.site, "a tensor load was under way when its block (%u,%u,%u) ended", block.index.x,
          block.index.y, block.index.z);
  }
}

void store_tensor(const TensorRequest& r) {
  Fiber& me = *card.running;
  Box box = box_of(r, "a tensor store");
  if (!is_known(*me.block, box.shared, box.map.bytes())) {
    fail(r.site, "a tensor store of what threads have written since the last fence_async_shared");
  }
  hand_over(copy_engine(me));
  Store* store;
  {
    Quiet quiet;
    Stores& mine = stores[&me];
    mine.open.push_back({r.site, box, mine.groups, false, false, false, {}, {}});
    store = &mine.open.back();
    store->bytes.resize(box.map.bytes());
  }
  if (!card.schedule.late_copies) {
    read_store(*store, me);
    write_store(*store, me);
    return;
  }
  each_line(box, [](unsigned, unsigned char* to, size_t, size_t valid) {
    for (size_t i = 0; i < valid; i++) static_cast<volatile unsigned char*>(to)[i] = 0xff;
  });
}

void commit_stores(Site site) {
  need_hopper("bulk_commit", site);
  Quiet quiet;
  stores[card.running].groups++;
}

void wait_stores(int open, bool reading, Site site) {
  need_hopper("bulk_wait", site);
  Fiber& me = *card.running;
  auto found = stores.find(&me);
  if (found == stores.end()) return;
  Stores& mine = found->second;
  for (auto at = mine.open.begin(); at != mine.open.end();) {
    Store& store = *at;
    if (store.group + static_cast<unsigned>(open) >= mine.groups) break;
    store.waited = true;
    read_store(store, me);
    acquire(&store.orders[0]);
    if (reading) {
      ++at;
      continue;
    }
    write_store(store, me);
    acquire(&store.orders[1]);
    Quiet quiet;
    at = mine.open.erase(at);
  }
}

void check_ended_stores(const Fiber& fiber) {
  auto found = stores.find(&fiber);
  if (found == stores.end()) return;
  for (Store& store : found->second.open) {
    if (!store.waited) {
      fail(store.site, "the thread ends with a tensor store that nobody waited for (bulk_commit, bulk_wait_read)");
    }
    write_store(store, fiber);
  }
}

void fence_async(Site site) {
  need_hopper("fence_async_shared", site);
  make_known(*card.running->block);
  show_mbarriers(site);
}

}  // namespace simt
