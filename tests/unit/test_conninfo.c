/* The connection string: our own keywords, what would break the guarantees, and what it never tells. */
#include "pg/internal.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define FILE_NAME "/tmp/debitd-conninfo-password"

static void put(const char *text)
{
    FILE *f = fopen(FILE_NAME, "w");
    if (!f)
        abort();
    fputs(text, f);
    fclose(f);
    chmod(FILE_NAME, 0600);
}

static void is_read_as(const char *conninfo, const char *want, const char *password,
                       const char *sslpassword)
{
    struct pg_target t;
    struct error error;
    if (!CHECK_INT(pg_target_init(conninfo, &t, &error), 0)) {
        printf("# %s\n", error.text);
        return;
    }
    CHECK_STR(buffer_cstr(&t.conninfo), want);
    CHECK_STR(t.password_file ? buffer_cstr(&t.password) : NULL, password);
    CHECK_STR(t.sslpassword_file ? buffer_cstr(&t.sslpassword) : NULL, sslpassword);
    pg_target_fini(&t);
}

TEST("the password is read from the file that is named, and libpq never sees our keyword")
{
    put("geheim\n");
    is_read_as("host=h dbname=d", "host=h dbname=d", NULL, NULL);
    is_read_as("host=h password_file=" FILE_NAME " dbname=d", "host=h dbname=d", "geheim", NULL);
    is_read_as("password_file = '" FILE_NAME "'", "", "geheim", NULL);
    is_read_as("host=h sslpassword_file=" FILE_NAME, "host=h", NULL, "geheim");
    is_read_as("user='a b' password_file=" FILE_NAME " application_name='x\\'y'",
               "user='a b' application_name='x\\'y'", "geheim", NULL);
    is_read_as("postgresql://u@h/d?password_file=" FILE_NAME "&sslmode=verify-full",
               "postgresql://u@h/d?sslmode=verify-full", "geheim", NULL);
    is_read_as("postgres://h/d?sslpassword_file=%2Ftmp%2Fdebitd-conninfo-password&"
               "password_file=" FILE_NAME,
               "postgres://h/d", "geheim", "geheim");
    unlink(FILE_NAME);
}

static void is_refused(const char *conninfo, int code, const char *words)
{
    struct error error = { 0 };
    CHECK_INT(pg_check_conninfo(conninfo, &error), -1);
    CHECK_INT(error.exit_code, code);
    if (!CHECK(strncmp(error.text, "postgres.conninfo: ", 19) == 0) ||
        !CHECK(strstr(error.text, words) != NULL) || !CHECK(strstr(error.text, "geheim") == NULL))
        printf("# %s\n", error.text);
}

TEST("what cannot work, or says something twice, is refused with what to do")
{
    put("geheim\n");
    is_refused("hots=h", EX_CONFIG, "invalid connection option \"hots\"");
    is_refused("target_session_attrs=standby", EX_CONFIG, "cannot book; take it out");
    is_refused("target_session_attrs=read-only", EX_CONFIG, "cannot book; take it out");
    is_refused("replication=database", EX_CONFIG, "take it out");
    is_refused("password=geheim password_file=" FILE_NAME, EX_CONFIG, "take one out");
    is_refused("sslpassword=geheim sslpassword_file=" FILE_NAME, EX_CONFIG, "take one out");
    is_refused("password_file=/nowhere/word", EX_NOPERM,
               "password_file: the file /nowhere/word cannot be read");
    chmod(FILE_NAME, 0644);
    is_refused("password_file=" FILE_NAME, EX_NOPERM, "has mode 0644");
    unlink(FILE_NAME);
}

TEST("half a password that libpq does not understand is not told")
{
    is_refused("password=my geheim host=h", EX_CONFIG, "needs 'quotes'");
    is_refused("postgresql://u:geheim%zz@h/d", EX_CONFIG, "an URI %XX");
    is_refused("password='geheim", EX_CONFIG, "unterminated quoted string");
}

TEST("a file that only the service can find is left to the service")
{
    struct error error;
    struct pg_target t;
    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK_INT(pg_check_conninfo("password_file=word", &error), 0);
    CHECK_INT(pg_target_init("password_file=word", &t, &error), -1);
    CHECK_INT(error.exit_code, EX_CONFIG);
    CHECK(strstr(error.text, "CREDENTIALS_DIRECTORY is not set") != NULL);
}

static const char *warned(const char *conninfo)
{
    static char text[400];
    pg_warning(conninfo, text, sizeof(text));
    return text;
}

TEST("a connection to another machine that anybody could have answered is warned of")
{
    unsetenv("PGSSLMODE");
    CHECK_STR(warned("host=/run/postgresql"), "");
    CHECK_STR(warned("dbname=d"), "");
    CHECK_STR(warned("host=127.0.0.1"), "");
    CHECK_STR(warned("host=db.example sslmode=verify-full"), "");
    CHECK_STR(warned("host=db.example gssencmode=require"), "");
    CHECK_STR(warned("host=/run/postgresql,db.example"),
              "postgres: sslmode is prefer, so the connection may be unencrypted to "
              "/run/postgresql,db.example; sslmode=verify-full with sslrootcert protects it "
              "(docs/security.md)");
    CHECK(strstr(warned("postgresql://db.example/d?sslmode=require"),
                 "sslmode is require, so the server's name is not verified on the way") != NULL);
}
