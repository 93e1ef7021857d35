// The queue of a thread's late asynchronous copies, in the groups of cp.async.commit_group.

#include "simt/card.h"
#include "simt/sanitizer.h"

namespace simt {

void queue_copy(const Copy& copy) {
  Quiet quiet;
  card.running->copies.push_back(copy);
  card.running->open_copies++;
}

void commit_copies() {
  Quiet quiet;
  Fiber& me = *card.running;
  me.groups.push_back(me.open_copies);
  me.open_copies = 0;
}

bool next_copy(int open, Copy* copy) {
  Quiet quiet;
  Fiber& me = *card.running;
  while (me.groups.size() > static_cast<size_t>(open)) {
    if (me.groups.front() == 0) {
      me.groups.erase(me.groups.begin());
      continue;
    }
    me.groups.front()--;
    *copy = me.copies.front();
    me.copies.erase(me.copies.begin());
    return true;
  }
  return false;
}

}  // namespace simt
