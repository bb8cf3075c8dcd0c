// From the calls that -fsanitize=thread puts before loads and stores, to the race detector.

#pragma once

#include <cstddef>

namespace race {

// A load or store of a kernel, or of the emulator while it pauses, by the instruction after `code`.
void accessed(const void* at, size_t bytes, bool writes, const void* code);

}  // namespace race
