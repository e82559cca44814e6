/* Identities, digests and table hashes: expected values come from sha256sum over the bytes
 * written in each comment, and from the SipHash paper. */
#include "base/hash.h"
#include "tests/unit/test.h"
#include "tests/unit/golden.h"

static void hash_is(struct hash128 h, const char *hex)
{
    char text[33];
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", h.byte[i]);
    CHECK_STR(text, hex);
}

TEST("parts are hashed with their lengths in front")
{
    /* printf '\0\0\0\3abc\0\0\0\0\377\377\377\377' | sha256sum */
    hash_is(hash_parts((struct slice[]){ SLICE("abc"), SLICE(""), SLICE_ABSENT }, 3),
            "00cad4a4aac3371b1b3530f2453dcaa6");
    /* printf '' | sha256sum */
    hash_is(hash_parts(NULL, 0), "e3b0c44298fc1c149afbf4c8996fb924");
}

TEST("an identity is that of source and id, a digest that of type, subject and data")
{
    /* printf '\0\0\0\017debitd/event/v1\0\0\0\2/s\0\0\0\2id' | sha256sum */
    hash_is(hash_identity(SLICE("/s"), SLICE("id")), "fd05d27772c081c35b3aacbac61bbfa2");
    /* printf '\0\0\0\020debitd/digest/v1\0\0\0\1t\0\0\0\1s\0\0\0\2{}' | sha256sum */
    hash_is(hash_digest(SLICE("t"), SLICE("s"), SLICE("{}")), "4760000759675a52adfb602b88fee0fa");
}

TEST("an id that tells its time leads its key by it, as the golden file says")
{
    struct golden g;
    int cases = 0;
    for (golden_open(&g, "tests/golden/timed_ids.txt"); golden_next(&g); cases++) {
        struct hash128 whole = hash_identity(SLICE("/s"), slice_of(g.column[0])), key = whole;
        char first[7] = "-";
        hash_lead_by_time(&key, slice_of(g.column[0]));
        if (memcmp(&key, &whole, sizeof key) != 0)
            snprintf(first, sizeof first, "%02x%02x%02x", key.byte[0], key.byte[1], key.byte[2]);
        CHECK_STR(first, g.column[1]);
        CHECK(memcmp(key.byte + 3, whole.byte + 3, sizeof key - 3) == 0);
    }
    CHECK_INT(cases, 35);
}

TEST("moving a byte from one part to the next gives another hash")
{
    struct hash128 a = hash_identity(SLICE("ab"), SLICE("c")),
                   b = hash_identity(SLICE("a"), SLICE("bc"));
    CHECK(memcmp(&a, &b, sizeof(a)) != 0);
}

TEST("SipHash-2-4 gives the vectors of its paper")
{
    /* key 00 01 … 0f, input 00 01 … 0e: Aumasson and Bernstein, appendix A */
    const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
    unsigned char input[15];
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (unsigned char)i;
    CHECK(hash_siphash(key, input, 15) == 0xa129ca6149be45e5);
    /* the first lines of the table in its reference code: 31 0e 0e dd 47 db 6f 72, fd 67 dc 93
     * c5 39 f8 74, … */
    CHECK(hash_siphash(key, input, 0) == 0x726fdb47dd0e0e31);
    CHECK(hash_siphash(key, input, 1) == 0x74f839c593dc67fd);
    CHECK(hash_siphash(key, input, 8) == 0x93f5f5799a932462);
}
