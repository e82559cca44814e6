/* Secrets that stand in files of their own: a password, and nothing else. The file is read each time the secret is needed, so that a new one is taken up without a restart. */
#ifndef DEBITD_BASE_CREDENTIAL_H
#define DEBITD_BASE_CREDENTIAL_H

#include "base/buffer.h"
#include "base/error.h"

#define CREDENTIAL_BYTES_MAX 65536 /* a key in PEM form has some thousand */

/* The path of the file called name: itself where it begins with a slash, else in the folder that systemd names for LoadCredential= (CREDENTIALS_DIRECTORY). 0, or -1 with EX_CONFIG where
 * there is no such folder. */
int credential_path(const char *name, struct buffer *ret_path, struct error *ret_error) MUST_CHECK;

/* Reads the file called name; one line break at its end does not belong to the secret. `what` says for people what it is ("sasl.password of kafka.properties"). It is refused when others than its
 * owner can read it (the group may where root owns it: so systemd hands credentials over), when it is empty, too large or no regular file, and, but for a PEM, when it has several lines.
 * 0; or -1 with EX_NOPERM, the path, and what to do: it may be right a moment later. Wipe the buffer by credential_fini. */
int credential_read(const char *name, const char *what, bool lines, struct buffer *ret_secret,
                    struct error *ret_error) MUST_CHECK;

/* Overwrites what the buffer holds, then frees it. */
void credential_fini(struct buffer *secret);

#endif
