/* The strict JSON scanner: what it accepts and refuses, with which words and where; what it
 * reads; that no input is slow. */
#include "base/json_scan.h"
#include "tests/unit/test.h"

#include "base/buffer.h"
#include "base/clock.h"

static void accepted(const char *text, size_t n, int line)
{
    struct json doc = JSON_NULL_DOC;
    /* a copy without a byte behind it, so that a sanitizer sees every step too far */
    char *exact = malloc(n ? n : 1);
    memcpy(exact, text, n);
    if (!CHECK_INT(json_scan(&doc, exact, n), 0))
        printf("# of line %d: %.60s: %s at %zu\n", line, text, doc.reason, doc.at);
    else
        CHECK_INT(doc.value[0].next, doc.values);
    json_fini(&doc);
    free(exact);
}
#define ACCEPTED(literal) accepted(literal, sizeof(literal) - 1, __LINE__)

static void refused(const char *text, size_t n, const char *reason, size_t at, int line)
{
    struct json doc = JSON_NULL_DOC;
    char *exact = malloc(n ? n : 1);
    memcpy(exact, text, n);
    if (!CHECK_INT(json_scan(&doc, exact, n), 1) || !CHECK_STR(doc.reason, reason) ||
        !CHECK_INT(doc.at, at))
        printf("# of line %d: %.60s\n", line, text);
    json_fini(&doc);
    free(exact);
}
#define REFUSED(literal, at, reason) refused(literal, sizeof(literal) - 1, reason, at, __LINE__)

TEST("any value may be the top one, with white space of RFC 8259 around it")
{
    ACCEPTED("null");
    ACCEPTED("true");
    ACCEPTED("false");
    ACCEPTED("0");
    ACCEPTED("-0");
    ACCEPTED("\"\"");
    ACCEPTED(" \t\r\n[ ] \n");
    ACCEPTED("{ }");
    ACCEPTED("[1,[2,[]],{\"a\":{}}]");
    ACCEPTED("{\"a\" : 1 ,\n\"b\":[true , null]}");
}

TEST("nothing, or something behind the value, is refused")
{
    REFUSED("", 0, "the text ends where a value should stand");
    REFUSED(" \n", 2, "the text ends where a value should stand");
    REFUSED("1 2", 2, "something follows the value");
    REFUSED("{}}", 2, "something follows the value");
    REFUSED("null\0", 4, "something follows the value");
    REFUSED("\xef\xbb\xbf{}", 0, "no JSON value");
    REFUSED("\v1", 0, "no JSON value");
    REFUSED("nul", 0, "no JSON value");
    REFUSED("nulL", 0, "no JSON value");
    REFUSED("True", 0, "no JSON value");
    REFUSED("NaN", 0, "no JSON value");
    REFUSED("//x\n1", 0, "no JSON value");
    REFUSED("'a'", 0, "no JSON value");
    struct json doc = JSON_NULL_DOC;
    CHECK_INT(json_scan(&doc, NULL, 0), 1);
    json_fini(&doc);
}

TEST("containers close as they opened, with commas between and none behind")
{
    REFUSED("[1", 2, "the text ends within an array");
    REFUSED("[", 1, "the text ends where a value should stand");
    REFUSED("[1,", 3, "the text ends where a value should stand");
    REFUSED("[1,]", 3, "no JSON value");
    REFUSED("[,1]", 1, "no JSON value");
    REFUSED("[1 2]", 3, "no comma between elements");
    REFUSED("[1}", 2, "no comma between elements");
    REFUSED("{", 1, "the text ends within an object");
    REFUSED("{\"a\"", 4, "no colon behind a member name");
    REFUSED("{\"a\" 1}", 5, "no colon behind a member name");
    REFUSED("{\"a\":}", 5, "no JSON value");
    REFUSED("{\"a\":1", 6, "the text ends within an object");
    REFUSED("{\"a\":1,}", 7, "no member name");
    REFUSED("{\"a\":1]", 6, "no comma between members");
    REFUSED("{\"a\":1 \"b\":2}", 7, "no comma between members");
    REFUSED("{1:2}", 1, "no member name");
    REFUSED("{a:2}", 1, "no member name");
    REFUSED("]", 0, "no JSON value");
}

TEST("numbers keep to the grammar, whatever their size")
{
    ACCEPTED("1e400");
    ACCEPTED("-1.5E-99999");
    ACCEPTED("123456789012345678901234567890123456789012345678901234567890");
    ACCEPTED("[0.0,10,1.0e+0]");
    REFUSED("01", 0, "a number with a leading zero");
    REFUSED("[-01]", 1, "a number with a leading zero");
    REFUSED("-", 0, "a minus without a number");
    REFUSED("-a", 0, "a minus without a number");
    REFUSED("+1", 0, "no JSON value");
    REFUSED(".5", 0, "no JSON value");
    REFUSED("1.", 2, "no digit behind the point of a number");
    REFUSED("1.e5", 2, "no digit behind the point of a number");
    REFUSED("1e", 2, "no digit in the exponent of a number");
    REFUSED("1e+", 3, "no digit in the exponent of a number");
    REFUSED("0x1", 1, "something follows the value");
    REFUSED("1a", 1, "something follows the value");
}

TEST("strings end, escape what they must, and hold UTF-8 only")
{
    ACCEPTED("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83d\\uDe00\"");
    ACCEPTED("\"plain \x7f \xc2\x80 \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xf0\x90\x80\x80 "
             "\xf4\x8f\xbf\xbf\"");
    ACCEPTED("\"\\u0000\"");
    REFUSED("\"abc", 0, "a string does not end");
    REFUSED("\"abc\\\"", 0, "a string does not end");
    REFUSED("[\"abcdefghijklmnop\n\"]", 18, "a control character in a string");
    REFUSED("\"a\0b\"", 2, "a control character in a string");
    REFUSED("\"\\x41\"", 1, "an unknown escape");
    REFUSED("\"\\\0\"", 1, "an unknown escape");
    REFUSED("\"\\", 1, "an unknown escape");
    REFUSED("\"\\u12g4\"", 1, "an unknown escape");
    REFUSED("\"\\u12\"", 1, "an unknown escape");
    REFUSED("\"\\ud800\"", 1, "a lone surrogate");
    REFUSED("\"\\udc00\"", 1, "a lone surrogate");
    REFUSED("\"\\udc00\\ud800\"", 1, "a lone surrogate");
    REFUSED("\"\\ud800\\ud800\"", 1, "a lone surrogate");
    REFUSED("\"\\ud800\\u0041\"", 1, "a lone surrogate");
    REFUSED("\"\\ud800x\"", 1, "a lone surrogate");
    REFUSED("\"\\ud800\\", 1, "a lone surrogate");
}

TEST("each ill-formed UTF-8 sequence is refused where it stands")
{
    static const char *const bad[] = { "\x80",
                                       "\xbf",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xc2",
                                       "\xc2\x41",
                                       "\xe0\x9f\xbf",
                                       "\xe2\x82",
                                       "\xed\xa0\x80",
                                       "\xed\xbf\xbf",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf0\x9f\x98",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xfe",
                                       "\xff" };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "\"a%s\"", bad[i]);
        refused(text, (size_t)n, "bytes that are not UTF-8", 2, __LINE__);
        n = snprintf(text, sizeof(text), "\"a%s", bad[i]); /* at the very end of the text */
        struct json doc = JSON_NULL_DOC;
        CHECK_INT(json_scan(&doc, text, (size_t)n), 1);
        json_fini(&doc);
        CHECK(!utf8_valid(slice_of(bad[i])));
    }
}

TEST("control characters are those of ASCII, DEL and U+0080-U+009F")
{
    CHECK(utf8_has_control(SLICE("a\x1f")));
    CHECK(utf8_has_control(SLICE("a\0b")));
    CHECK(utf8_has_control(SLICE("\x7f")));
    CHECK(utf8_has_control(SLICE("\xc2\x80")));
    CHECK(utf8_has_control(SLICE("x\xc2\x9f")));
    CHECK(!utf8_has_control(SLICE("\xc2\xa0 \xc3\x80 \xe2\x80\xa8")));
    CHECK(!utf8_has_control(SLICE_ABSENT));
    CHECK(utf8_valid(SLICE_ABSENT));
    char text[] = "~ 0123456789 \xc3\x80\xe2\x82\xac abcdefgh"; /* at any place among eight bytes */
    struct slice all = slice_of(text);
    CHECK(!utf8_has_control(all));
    for (size_t i = 0; i < all.n; i++) {
        char kept = text[i];
        text[i] = '\x1f';
        CHECK(utf8_has_control(all));
        text[i] = '\x7f';
        CHECK(utf8_has_control(all));
        text[i] = kept;
    }
}

TEST("a repeated name is refused at any level, compared after unescaping")
{
    REFUSED("{\"a\":1,\"a\":2}", 7, "a member name stands there twice: \"a\"");
    REFUSED("[{\"x\":{\"k\":1,\"kk\":2,\"k\":3}}]", 20, "a member name stands there twice: \"k\"");
    REFUSED("{\"a\":1,\"\\u0061\":2}", 7, "a member name stands there twice: \"\\u0061\"");
    REFUSED("{\"\\u0061\":1,\"b\":0,\"a\":2}", 18, "a member name stands there twice: \"a\"");
    REFUSED("{\"\":1,\"\":2}", 6, "a member name stands there twice: \"\"");
    REFUSED("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", 18,
            "a member name stands there twice: \"\xf0\x9f\x98\x80\"");
    REFUSED("{\"\xc3\xa9-longer-than-eight\":1,\"\xc3\xa9-longer-than-eight\":2}", 26,
            "a member name stands there twice: \"\xc3\xa9-longer-than-eight\"");
    ACCEPTED("{\"a\":1,\"A\":2,\"aa\":3,\"\":4,\"a\\u0000\":5,\"\\u0000\":6}");
    ACCEPTED("{\"eight--8\":1,\"eight--88\":2,\"eight--\":3,\"eight--89\":4}");
    ACCEPTED("[{\"a\":1},{\"a\":{\"a\":2}}]");
    ACCEPTED("{\"\\/\":1,\"\\\\\":2,\"\\\\/\":3}");
}

/* {"k0":0,"k1":0,…} and one more member. */
static void object_build(struct buffer *b, int count, const char *last)
{
    buffer_text(b, "{");
    for (int i = 0; i < count; i++)
        buffer_format(b, "\"k%d\":0,", i);
    buffer_format(b, "%s}", last);
}

TEST("a repeated name is found in objects of any size")
{
    static const int counts[] = { 1, 14, 15, 16, 17, 31, 64, 1000 };
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        static const struct {
            const char *last;
            int result;
        } lasts[] = {
            { "\"k0\":1", 1 }, { "\"k\":1", 0 }, { "\"\\u006b0\":1", 1 }, { "\"\\u006bk\":1", 0 }
        };
        for (size_t j = 0; j < ARRAY_SIZE(lasts); j++) {
            struct json doc = JSON_NULL_DOC;
            struct buffer b = BUFFER_NULL;
            object_build(&b, counts[i], lasts[j].last);
            if (!CHECK_INT(json_scan(&doc, b.p, b.n), lasts[j].result))
                printf("# %d members and %s\n", counts[i], lasts[j].last);
            json_fini(&doc);
            buffer_fini(&b);
        }
    }
}

TEST("a hundred thousand members take no more than linear time")
{
    struct json doc = JSON_NULL_DOC;
    struct buffer b = BUFFER_NULL;
    object_build(&b, 100000, "\"last\":1");
    int64_t start = monotonic_us();
    CHECK_INT(json_scan(&doc, b.p, b.n), 0);
    CHECK(monotonic_us() - start < 2 * US_PER_SECOND); /* quadratic: half a minute */
    CHECK_INT(doc.value[0].count, 100001);
    CHECK_INT(json_member(&doc, 0, "last"), doc.values - 1);
    json_fini(&doc);
    buffer_fini(&b);
}

static int depth_scan(int depth, bool objects, struct json *doc)
{
    struct buffer b = BUFFER_NULL;
    for (int i = 0; i < depth; i++)
        buffer_text(&b, objects && i < depth - 1 ? "{\"a\":" : "[");
    for (int i = depth - 1; i >= 0; i--)
        buffer_text(&b, objects && i < depth - 1 ? "}" : "]");
    int r = json_scan(doc, b.p, b.n);
    buffer_fini(&b);
    return r;
}

TEST("nesting of 64 is accepted, of 65 and of 3,000 refused")
{
    struct json doc = JSON_NULL_DOC;
    CHECK_INT(depth_scan(64, false, &doc), 0);
    CHECK_INT(depth_scan(64, true, &doc), 0);
    CHECK_INT(depth_scan(65, false, &doc), 1);
    CHECK_STR(doc.reason, "nested deeper than 64");
    CHECK_INT(doc.at, 64);
    CHECK_INT(depth_scan(65, true, &doc), 1);
    CHECK_INT(depth_scan(3000, false, &doc), 1);
    CHECK_INT(depth_scan(200000, true, &doc), 1);
    CHECK_INT(depth_scan(2, true, &doc), 0);
    json_fini(&doc);
}

static void string_is(const struct json *doc, struct arena *arena, const char *member,
                      const char *want, size_t n)
{
    uint32_t v = json_member(doc, 0, member);
    if (CHECK(v != 0)) {
        struct slice s = json_content(doc, v, arena);
        CHECK(s.p != NULL);
        CHECK_MEM(s.p, s.n, want, n);
    }
}

TEST("members, texts and strings are read as they stand, escapes resolved")
{
    static const char text[] = "{\"plain\":\"abc\",\"esc\":\"a\\\"\\\\\\/"
                               "\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00z\","
                               "\"empty\":\"\",\"n\\u0075m\": -1.50e+2 ,\"list\":[ 1,{\"x\":2} "
                               "],\"nul\":\"a\\u0000b\",\"no\":null}";
    struct json doc = JSON_NULL_DOC;
    struct arena arena = ARENA_NULL;
    REQUIRE(json_scan(&doc, text, sizeof(text) - 1) == 0);
    CHECK_INT(doc.value[0].count, 7);
    string_is(&doc, &arena, "plain", "abc", 3);
    CHECK(arena.used == 0);
    CHECK(json_content(&doc, json_member(&doc, 0, "plain"), &arena).p == text + 10);
    string_is(&doc, &arena, "esc", "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", 20);
    string_is(&doc, &arena, "empty", "", 0);
    string_is(&doc, &arena, "nul", "a\0b", 3);
    struct slice number = json_text(&doc, json_member(&doc, 0, "num"));
    CHECK_MEM(number.p, number.n, "-1.50e+2", 8);
    uint32_t list = json_member(&doc, 0, "list");
    CHECK_MEM(json_text(&doc, list).p, json_text(&doc, list).n, "[ 1,{\"x\":2} ]", 13);
    CHECK_INT(doc.value[list].count, 2);
    CHECK_INT(doc.value[list + 1].type, JSON_IS_NUMBER);
    CHECK_INT(doc.value[doc.value[list + 1].next].type, JSON_IS_OBJECT);
    CHECK_INT(json_member(&doc, 0, "absent"), 0);
    CHECK_INT(json_member(&doc, 0, "lis"), 0);
    CHECK_INT(doc.value[json_member(&doc, 0, "no")].type, JSON_IS_NULL);
    static const struct slice names[] = { SLICE("num"), SLICE("absent"), SLICE("list") };
    uint32_t at[3];
    json_members(&doc, 0, names, 3, &arena, at);
    CHECK_INT(at[0], json_member(&doc, 0, "num"));
    CHECK_INT(at[1], 0);
    CHECK_INT(at[2], list);
    json_fini(&doc);
    arena_fini(&arena);
}

TEST("a NUL in a string marks every container around it, and no other")
{
    static const char text[] =
        "{\"a\":[{\"b\":\"x\\u0000\"},{\"c\":\"\\\\u0000\"}],\"d\":{\"\\u0000\":1},\"e\":{}}";
    struct json doc = JSON_NULL_DOC;
    REQUIRE(json_scan(&doc, text, sizeof(text) - 1) == 0);
    uint32_t a = json_member(&doc, 0, "a");
    CHECK(doc.value[0].has_nul);
    CHECK(doc.value[a].has_nul);
    CHECK(doc.value[a + 1].has_nul);
    CHECK(!doc.value[doc.value[a + 1].next].has_nul);
    CHECK(doc.value[json_member(&doc, 0, "d")].has_nul);
    CHECK(!doc.value[json_member(&doc, 0, "e")].has_nul);
    json_fini(&doc);
}

TEST("a document is used again and again without a further allocation")
{
    struct json doc = JSON_NULL_DOC;
    REQUIRE(json_scan(&doc, "[1,2,3]", 7) == 0);
    struct json_value *first = doc.value;
    CHECK_INT(json_scan(&doc, "[1,", 3), 1);
    CHECK_INT(json_scan(&doc, "{\"a\":\"b\"}", 9), 0);
    CHECK(doc.value == first);
    CHECK_STR(doc.reason, "");
    CHECK_INT(doc.values, 3);
    json_fini(&doc);
    json_fini(&doc);
}
