/* Secrets in files of their own: where they are looked for, who may read them, and that no failure tells one. */
#include "base/credential.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static char folder[64], path[128];

/* The file `name` in a folder of the test, which is where credentials are looked for. */
static void put(const char *name, const char *text, size_t n, mode_t mode)
{
    if (!*folder) {
        snprintf(folder, sizeof(folder), "/tmp/debitd-credential-XXXXXX");
        if (!mkdtemp(folder))
            abort();
    }
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n || fchmod(fd, mode) < 0)
        abort();
    close(fd);
}

static void gone(void)
{
    unlink(path);
    rmdir(folder);
    *folder = '\0';
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void accepted(const char *text, mode_t mode, const char *want)
{
    struct buffer secret = BUFFER_NULL;
    struct error error = { 0 };
    put("word", text, strlen(text), mode);
    if (CHECK_INT(credential_read("word", "it", false, &secret, &error), 0))
        CHECK_STR(buffer_cstr(&secret), want);
    else
        printf("# %s\n", error.text);
    credential_fini(&secret);
    gone();
}

static void refused(const char *text, size_t n, mode_t mode, const char *words)
{
    struct buffer secret = BUFFER_NULL;
    struct error error = { 0 };
    put("word", text, n, mode);
    CHECK_INT(credential_read("word", "sasl.password", false, &secret, &error), -1);
    CHECK_INT(error.exit_code, EX_NOPERM);
    CHECK(secret.p == NULL);
    if (!CHECK(strstr(error.text, words) != NULL) || !CHECK(strstr(error.text, path) != NULL) ||
        !CHECK(strncmp(error.text, "sasl.password: the file ", 24) == 0) ||
        !CHECK(strstr(error.text, "geheim") == NULL))
        printf("# %s\n", error.text);
    gone();
}

TEST("a file holds the secret, and the line break at its end is no part of it")
{
    accepted("geheim", 0600, "geheim");
    accepted("geheim\n", 0400, "geheim");
    accepted("geheim\r\n", 0400, "geheim");
    accepted(" ge heim \n", 0400, " ge heim ");
}

TEST("a file that others than its owner can get at is refused")
{
    static const mode_t open_to_others[] = { 0644, 0604, 0602, 0601, 0666, 0620, 0610 };
    for (size_t i = 0; i < sizeof(open_to_others) / sizeof(*open_to_others); i++)
        refused("geheim", 6, open_to_others[i], "others can get at the secret in it: chmod 0400");
}

/* The tests may run as root, and as somebody else. */
TEST("the group may read a file of root's, as systemd hands credentials over, and no other's")
{
    if (geteuid() == 0) {
        accepted("geheim", 0440, "geheim");
        put("word", "geheim", 6, 0440);
        struct buffer secret = BUFFER_NULL;
        struct error error = { 0 };
        CHECK_INT(chown(path, 65534, 65534), 0);
        CHECK_INT(credential_read("word", "it", false, &secret, &error), -1);
        gone();
    } else {
        refused("geheim", 6, 0440, "has mode 0440");
    }
}

TEST("what can be no secret is refused, and nothing of it is told")
{
    char *large = malloc(CREDENTIAL_BYTES_MAX + 1);
    memset(large, 'x', CREDENTIAL_BYTES_MAX + 1);
    refused("", 0, 0600, "is empty");
    refused("\n", 1, 0600, "is empty");
    refused("geheim\nzwei", 11, 0600, "has several lines");
    refused("geheim\0zwei", 11, 0600, "holds a NUL byte");
    refused(large, CREDENTIAL_BYTES_MAX + 1, 0600, "is larger than any secret");
    free(large);
}

TEST("a key in PEM form has lines")
{
    struct buffer secret = BUFFER_NULL;
    struct error error;
    put("key", "one\ntwo\n", 8, 0600);
    CHECK_INT(credential_read("key", "it", true, &secret, &error), 0);
    CHECK_STR(buffer_cstr(&secret), "one\ntwo");
    credential_fini(&secret);
    gone();
}

TEST("a file that is not there, and one that is a folder, are named")
{
    struct buffer secret = BUFFER_NULL;
    struct error error;
    CHECK_INT(credential_read("/nowhere/word", "it", false, &secret, &error), -1);
    CHECK_STR(error.text, "it: the file /nowhere/word cannot be read: No such file or directory");
    CHECK_INT(credential_read("/usr", "it", false, &secret, &error), -1);
    CHECK_STR(error.text, "it: the file /usr is no regular file");
}

TEST("a pipe that nobody writes to holds nobody up")
{
    struct buffer secret = BUFFER_NULL;
    struct error error;
    put("word", "", 0, 0600);
    unlink(path);
    REQUIRE(mkfifo(path, 0600) == 0);
    CHECK_INT(credential_read("word", "it", false, &secret, &error), -1);
    CHECK(strstr(error.text, "is no regular file") != NULL);
    gone();
}

TEST("a name without a slash in front is looked for among the service's credentials only")
{
    struct buffer secret = BUFFER_NULL;
    struct error error;
    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK_INT(credential_read("word", "it", false, &secret, &error), -1);
    CHECK_INT(error.exit_code, EX_CONFIG);
    CHECK(strstr(error.text, "LoadCredential=word:/where/it/is") != NULL);
}
