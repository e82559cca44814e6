/* What the fuzz targets share: a claim that ends the program, and messages made of raw bytes. */
#ifndef DEBITD_TESTS_FUZZ_INPUT_H
#define DEBITD_TESTS_FUZZ_INPUT_H

#include "base/arena.h"
#include "model/message.h"
#include "model/reason.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The entry point that libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input. */
#define CLAIM(expr)                                                                   \
    do {                                                                              \
        if (!(expr)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #expr); \
            abort();                                                                  \
        }                                                                             \
    } while (0)

/* 2026-11-20T12:00:00Z: the timestamp of every message made here. */
#define INPUT_SENT_US   INT64_C(1795176000000000)
#define INPUT_WINDOW_US INT64_C(3024000000000)

/* A message from bytes: those that begin with "ce" are headers, a line "name:value" each, up to
 * an empty line, and then the value; any other bytes are the value alone. Everything points into
 * the bytes or the arena. */
struct message input_message(const uint8_t *data, size_t size, struct arena *arena);

/* A file of these bytes, for what reads files: its path. One a process; the next call replaces it. */
const char *input_file(const void *data, size_t size);
/* Does the text name other files? libconfig reads them, and ends the process where one is a directory. */
bool input_includes(const uint8_t *data, size_t size);

/* A refusal has a code that a decoder may give and words fit to be shown. */
void input_refusal_check(enum reason reason, const struct refusal *refusal);

#endif
