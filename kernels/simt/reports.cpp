// What a sanitizer reports while a kernel runs becomes the launch's error. AddressSanitizer and
// ThreadSanitizer are told to print into a file in memory, which is looked at whenever a thread has
// run; UndefinedBehaviorSanitizer calls a function of ours at each report.

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "simt/card.h"
#include "simt/sanitizer.h"

namespace simt {

#if !defined(SIMT_ASAN) && !defined(SIMT_TSAN)

void catch_reports() {}
void look_for_reports(const Fiber&) {}

#else

namespace {

int file = -1;
off_t seen;

constexpr const char* HINT = "DOPPEL_SIMT_REPORTS=1 prints all of it";

// The line of a report that says most.
std::string summary(const std::string& report) {
  for (const char* mark : {"SUMMARY: ", "ERROR: ", "WARNING: "}) {
    size_t at = report.find(mark);
    if (at != std::string::npos) return report.substr(at, report.find('\n', at) - at);
  }
  return "a sanitizer's report";
}

bool print_all() { return std::getenv("DOPPEL_SIMT_REPORTS") != nullptr; }

// Makes the sanitizer whose runtime is in `library` print into the file, by a descriptor of its own.
void print_into_file(void* library) {
  void* set = dlsym(library, "__sanitizer_set_report_fd");
  if (set == nullptr) return;
  intptr_t descriptor = dup(file);
  // It passes as a pointer: the interface is so.
  reinterpret_cast<void (*)(void*)>(set)(reinterpret_cast<void*>(descriptor));
}

}  // namespace

void catch_reports() {
  if (file >= 0) return;
  file = memfd_create("sanitizer reports", 0);
  if (file < 0) return;  // reports go to stderr as ever
  print_into_file(RTLD_DEFAULT);
#if defined(SIMT_ASAN)
  if (void* undefined = dlopen("libubsan.so.1", RTLD_NOW | RTLD_NOLOAD)) print_into_file(undefined);
#endif
}

void look_for_reports(const Fiber& fiber) {
  if (file < 0) return;
  off_t end = lseek(file, 0, SEEK_END);
  if (end <= seen) return;
  std::string report(static_cast<size_t>(end - seen), '\0');
  ssize_t got = pread(file, report.data(), report.size(), seen);
  seen = end;
  report.resize(got > 0 ? static_cast<size_t>(got) : 0);
  if (print_all()) std::fwrite(report.data(), 1, report.size(), stderr);
  note_fault(fiber, "%s (%s)", summary(report).c_str(), HINT);
}

#endif

}  // namespace simt

#if defined(SIMT_ASAN)

extern "C" void __ubsan_get_current_report_data(const char** kind, const char** message, const char** file,
                                                unsigned* line, unsigned* column, char** address);

// UndefinedBehaviorSanitizer's runtime calls this at the end of a report, of which it makes one for
// each place in the source. At its first it set itself up, and closed AddressSanitizer's output.
extern "C" __attribute__((visibility("default"))) void __ubsan_on_report() {
  const char *kind = "", *message = "", *file = "";
  unsigned line = 0, column = 0;
  char* address = nullptr;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  simt::note_fault(*simt::card.running, "%s at %s:%u: %s (%s)", kind, file, line, message, simt::HINT);
  static bool again = false;
  if (!again) simt::print_into_file(RTLD_DEFAULT);
  again = true;
}

#endif
