/* Identities and digests: the first 128 bits of SHA-256 over length-prefixed parts (each part: its
 * length as 4 bytes, big endian, then its bytes; an
 * absent part has length 0xffffffff and no bytes). Cryptographic, so that nobody can craft two
 * events that are taken for one. */
#ifndef DEBITD_BASE_HASH_H
#define DEBITD_BASE_HASH_H

#include "base/slice.h"

#include <stdint.h>

struct hash128 {
    unsigned char byte[16]; /* compared with memcmp: the order in which PostgreSQL sorts uuid */
};

struct hash128 hash_parts(const struct slice *part, size_t parts);
/* The identity of an event: hash_parts over {"debitd/event/v1", source, id}. */
struct hash128 hash_identity(struct slice source, struct slice id);
/* An id that tells when it was made (UUID version 7: RFC 9562; ULID: github.com/ulid/spec) has that
 * time lead its key: the first 24 bits become those of the milliseconds since 1970 divided by 1024.
 * So keys of one time lie together, and what books them touches few pages of their index. It
 * depends on the id alone; 104 bits of SHA-256 are left. Any other id: nothing changes. The same as
 * debitd.key_of() in SQL: tests/golden/timed_ids.txt. */
void hash_lead_by_time(struct hash128 *key, struct slice id);
/* What must be the same for the same identity: hash_parts over {"debitd/digest/v1", type, subject,
 * data as sent}. */
struct hash128 hash_digest(struct slice type, struct slice subject, struct slice data);

/* A 64-bit hash for tables in memory and for the fingerprint of a Kafka record: SipHash-2-4 with
 * the given key. */
uint64_t hash_siphash(const uint64_t key[2], const void *bytes, size_t n);
/* The same cut to 32 bits, with a key that the kernel made for this process and nobody outside can
 * know. */
uint32_t hash_secret(const void *bytes, size_t n);

#endif
