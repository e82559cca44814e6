/* Identities (SHA-256) and table hashes (SipHash). Pure.
 *
 * SHA-256 is called through OpenSSL's low-level functions: its state lives on the stack, where
 * the EVP interface allocates one each time, which costs more than hashing an identity does.
 * They are deprecated in name only as long as OpenSSL is 3.x, which the build asks for. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hash.h"

#include "base/macros.h"

#include <endian.h>
#include <openssl/sha.h>
#include <sys/auxv.h>

struct hash128 hash_parts(const struct slice *part, size_t parts)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct hash128 out;
    SHA256_CTX sha;

    ASSERT(SHA256_Init(&sha) == 1);
    for (size_t i = 0; i < parts; i++) {
        uint32_t n = part[i].p ? (uint32_t)part[i].n : UINT32_MAX;
        unsigned char length[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16),
                                    (unsigned char)(n >> 8), (unsigned char)n };
        ASSERT(part[i].n < UINT32_MAX);
        SHA256_Update(&sha, length, sizeof(length));
        if (part[i].p)
            SHA256_Update(&sha, part[i].p, part[i].n);
    }
    SHA256_Final(digest, &sha);
    memcpy(out.byte, digest, sizeof(out.byte));
    return out;
}

struct hash128 hash_identity(struct slice source, struct slice id)
{
    return hash_parts((struct slice[]){ SLICE("debitd/event/v1"), source, id }, 3);
}

/* Crockford's base 32, in either case; as far as its digits go the hexadecimal ones are the same. -1: none. */
static int digit_of(char c)
{
    static const signed char letter[] = { 10, 11, 12, 13, 14, 15, 16, 17, -1, 18, 19, -1, 20,
                                          21, -1, 22, 23, 24, 25, 26, -1, 27, 28, 29, 30, 31 };
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 'a' - 'A';
    return c >= 'a' && c <= 'z' ? letter[c - 'a'] : -1;
}

/* True: all n bytes are digits of so many bits; *value takes them up from the left. */
static bool read_digits(const char *p, size_t n, int bits, uint64_t *value)
{
    for (size_t i = 0; i < n; i++) {
        int digit = digit_of(p[i]);
        if (digit < 0 || digit >> bits)
            return false;
        *value = *value << bits | (uint64_t)digit;
    }
    return true;
}

static bool uuid7_time(struct slice id, uint64_t *ret_ms)
{
    uint64_t rest = 0;
    const char *p = id.p;
    *ret_ms = 0;
    return id.n == 36 && p[14] == '7' && digit_of(p[19]) >> 2 == 2 && p[8] == '-' && p[13] == '-' &&
           p[18] == '-' && p[23] == '-' && read_digits(p, 8, 4, ret_ms) &&
           read_digits(p + 9, 4, 4, ret_ms) && read_digits(p + 15, 3, 4, &rest) &&
           read_digits(p + 20, 3, 4, &rest) && read_digits(p + 24, 12, 4, &rest);
}

static bool ulid_time(struct slice id, uint64_t *ret_ms)
{
    uint64_t rest = 0;
    *ret_ms = 0;
    return id.n == 26 && id.p[0] <= '7' && read_digits(id.p, 10, 5, ret_ms) &&
           read_digits(id.p + 10, 16, 5, &rest);
}

void hash_lead_by_time(struct hash128 *key, struct slice id)
{
    uint64_t ms;
    if (!uuid7_time(id, &ms) && !ulid_time(id, &ms))
        return;
    key->byte[0] = (unsigned char)(ms >> 26);
    key->byte[1] = (unsigned char)(ms >> 18);
    key->byte[2] = (unsigned char)(ms >> 10);
}

struct hash128 hash_digest(struct slice type, struct slice subject, struct slice data)
{
    return hash_parts((struct slice[]){ SLICE("debitd/digest/v1"), type, subject, data }, 4);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline uint64_t whole_word(const unsigned char *p)
{
    uint64_t value;

    memcpy(&value, p, sizeof(value));
    return le64toh(value);
}

static inline uint64_t last_bytes(const unsigned char *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return value;
}

uint64_t hash_siphash(const uint64_t key[2], const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                      key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
    uint64_t word, last = (uint64_t)n << 56;

    for (; n >= 8; p += 8, n -= 8) {
        word = whole_word(p);
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    last |= last_bytes(p, n);
    v[3] ^= last;
    sip_round(v);
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t secret[2]; /* never changed once main has begun */

/* getauxval(3): 16 random bytes. Before main, since to look for them costs as much as a hash. */
static void __attribute__((constructor)) take_secret(void)
{
    const void *random = (const void *)getauxval(AT_RANDOM);

    ASSERT(random != NULL);
    memcpy(secret, random, sizeof(secret));
}

uint32_t hash_secret(const void *bytes, size_t n)
{
    return (uint32_t)hash_siphash(secret, bytes, n);
}
