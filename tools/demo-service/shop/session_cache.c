// SPDX-License-Identifier: Apache-2.0
// A native session cache that forgets to forget: the leak that the demo looks for.
#include <stdlib.h>
#include <string.h>

struct session_entry {
  struct session_entry* next;
  size_t size;
  char* data;
};

static struct session_entry* entries;

// Kept out of line and visible so that each step of the leak has a name of its own in a stack.
#define STEP __attribute__((noinline, visibility("default")))

STEP struct session_entry* session_entry_new(const void* data, size_t size) {
  struct session_entry* entry = malloc(sizeof(*entry));
  if (entry == NULL) return NULL;
  entry->data = malloc(size);
  if (entry->data == NULL) {
    free(entry);
    return NULL;
  }
  memcpy(entry->data, data, size);
  entry->size = size;
  return entry;
}

// Keeps a copy of the session for ever. Returns 0, or -1 without memory.
STEP int session_cache_store(const void* data, size_t size) {
  struct session_entry* entry = session_entry_new(data, size);
  if (entry == NULL) return -1;
  entry->next = entries;
  entries = entry;
  return 0;
}

// Bytes of session data held, the truth that the demo compares a recording with.
STEP size_t session_cache_bytes(void) {
  size_t bytes = 0;
  for (const struct session_entry* entry = entries; entry != NULL; entry = entry->next) bytes += entry->size;
  return bytes;
}
