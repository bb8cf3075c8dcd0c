// What a module says of its kernels: how many bytes of parameters they take, and with how many threads they may be started.

#pragma once

#include <elf.h>

#include "work.h"

namespace fake {

// Attributes of a kernel in machine code: a format, a number, and a value or the length of one.
enum : uint8_t { LONG_VALUE = 4, PARAMETER_BYTES = 0x19, MOST_THREADS = 0x05 };

static unsigned half(const char* at) {
    uint16_t value;
    memcpy(&value, at, 2);
    return value;
}

static void read_attributes(const char* at, size_t bytes, Entry& entry) {
    for (size_t i = 0; i + 4 <= bytes;) {
        uint8_t format = at[i], attribute = at[i + 1];
        unsigned value = half(at + i + 2);
        i += 4;
        if (attribute == PARAMETER_BYTES) entry.parameter_bytes = value;
        if (format != LONG_VALUE) continue;
        if (attribute == MOST_THREADS) memcpy(&entry.most_threads, at + i, 4);
        i += value;
    }
}

// Machine code: an ELF file with a section of attributes for each kernel.
static bool read_code(const char* image, Module& module) {
    Elf64_Ehdr header;
    memcpy(&header, image, sizeof header);
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    memcpy(sections.data(), image + header.e_shoff, sections.size() * sizeof sections[0]);
    const std::string prefix = ".nv.info.";
    for (const Elf64_Shdr& section : sections) {
        std::string name = image + sections[header.e_shstrndx].sh_offset + section.sh_name;
        if (name.compare(0, prefix.size(), prefix) != 0) continue;
        Entry entry;
        entry.name = name.substr(prefix.size());
        read_attributes(image + section.sh_offset, section.sh_size, entry);
        module.entries[entry.name] = entry;
    }
    return !module.entries.empty();
}

// The number behind a word, or none.
static unsigned number_behind(const std::string& text, const char* word, unsigned none) {
    size_t at = text.find(word);
    return at == std::string::npos ? none : std::stoul(text.substr(at + strlen(word)));
}

// PTX: a text.
static bool read_ptx(const std::string& ptx, Module& module) {
    const std::string begin = ".visible .entry ";
    for (size_t at = 0; (at = ptx.find(begin, at)) != std::string::npos;) {
        size_t name = at + begin.size(), open = ptx.find('(', name), close = ptx.find(')', open), body = ptx.find('{', close);
        Entry entry;
        entry.name = ptx.substr(name, open - name);
        std::string parameters = ptx.substr(open, close - open);
        if (parameters.find(',') != std::string::npos) fault("%s has more than one parameter", entry.name.c_str());
        entry.parameter_bytes = number_behind(parameters, "[", 0);
        entry.most_threads = number_behind(ptx.substr(close, body - close), ".maxntid ", 1024);
        module.entries[entry.name] = entry;
        at = body;
    }
    return !module.entries.empty();
}

}  // namespace fake
