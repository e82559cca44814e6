/* Why a broker is not trusted, or does not trust us, in words that say what to do: librdkafka's own
 * name neither the certificate's fault nor the file a password came from.
 * Concurrency: librdkafka calls back on threads of its own, so what is kept is under the client's lock. */
#include "base/credential.h"
#include "base/log.h"
#include "kafka/client.h"
#include "kafka/keys.h"

#include <librdkafka/rdkafka.h>
#include <openssl/x509_vfy.h>
#include <string.h>
#include <strings.h>

/* ---- what is kept */

void kafka_note(struct kafka_client *c, int code, const char *words)
{
    if (c == NULL || kafka_classify(code) != KAFKA_DENIED)
        return;
    pthread_mutex_lock(&c->lock);
    c->denied = code;
    snprintf(c->words, sizeof(c->words), "%s", words);
    pthread_mutex_unlock(&c->lock);
}

int kafka_true_code(struct kafka_client *c, int code)
{
    pthread_mutex_lock(&c->lock);
    bool refused = *c->certificate != '\0';
    pthread_mutex_unlock(&c->lock);
    return refused && code == RD_KAFKA_RESP_ERR__TRANSPORT ? RD_KAFKA_RESP_ERR__SSL : code;
}

static void on_error(rd_kafka_t *rk, int code, const char *words, void *opaque)
{
    (void)rk;
    kafka_note(opaque, kafka_true_code(opaque, code), words);
}

/* Called for each certificate of a broker's chain, after OpenSSL has judged it; its verdict stands. */
static int on_certificate(rd_kafka_t *rk, const char *broker, int32_t broker_id, int *x509_error,
                          int depth, const char *der, size_t size, char *errstr, size_t errstr_size,
                          void *opaque)
{
    struct kafka_client *c = opaque;
    const char *why = X509_verify_cert_error_string(*x509_error);

    (void)rk, (void)broker_id, (void)der, (void)size;
    if (c != NULL && depth == 0 && *x509_error == X509_V_OK) {
        pthread_mutex_lock(&c->lock);
        *c->certificate = '\0';
        pthread_mutex_unlock(&c->lock);
    }
    if (c == NULL || *x509_error == X509_V_OK)
        return *x509_error == X509_V_OK;
    snprintf(errstr, errstr_size, "%s", why);
    pthread_mutex_lock(&c->lock);
    snprintf(c->certificate, sizeof(c->certificate), "the %s of %.120s is not accepted: %s",
             depth == 0 ? "certificate" : "authority behind the certificate", broker, why);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

void kafka_watch(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_error_cb(conf, on_error);
    /* librdkafka without TLS has no such callback: then there is nothing to verify either */
    if (rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate) != RD_KAFKA_CONF_OK)
        log_debug("librdkafka was built without TLS");
}

/* ---- for people */

static const char *value_of(const struct kafka_settings *s, const char *name)
{
    for (size_t i = s->properties; i-- > 0;)
        if (strcmp(s->property[i].name, name) == 0)
            return s->property[i].value;
    return NULL;
}

static void advise_login(const struct kafka_settings *s, char *out, size_t size)
{
    const char *user = value_of(s, "sasl.username"), *file = value_of(s, "sasl.password_file");

    snprintf(out, size, "check sasl.username \"%s\", sasl.mechanism and %s%s%s", user ? user : "",
             file ? "the password in the file " : "the password", file ? file : "",
             file ? ", which is read again at every attempt" : "");
}

static void advise(const struct kafka_settings *s, int code, const char *certificate, char *out,
                   size_t size)
{
    char id[KAFKA_TRANSACTIONAL_ID_MAX];

    switch (code) {
    case RD_KAFKA_RESP_ERR__SSL:
        if (*certificate)
            snprintf(out, size,
                     "check ssl.ca.location, the host names in kafka.bootstrap_servers and the "
                     "dates of the certificate: openssl s_client -connect %.200s",
                     s->bootstrap_servers);
        else
            snprintf(out, size,
                     "check security.protocol, and whether the broker wants a certificate of ours "
                     "(ssl.certificate.location, ssl.key.location)");
        return;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        advise_login(s, out, size);
        return;
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        snprintf(out, size, "grant READ on the group %s (kafka-acls.sh, docs/security.md)",
                 s->group_id);
        return;
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        kafka_transactional_id(s->group_id, id);
        snprintf(out, size,
                 "grant WRITE and DESCRIBE on the transactional id %s (kafka-acls.sh, "
                 "docs/security.md)",
                 id);
        return;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        snprintf(out, size,
                 "grant READ on the topics of topics.usage and topics.accounts, and READ, WRITE "
                 "and DESCRIBE on those of topics.alerts and topics.dead_letter (kafka-acls.sh, "
                 "docs/security.md)");
        return;
    default:
        snprintf(out, size, "compare kafka.properties with the broker's users and ACLs");
    }
}

bool kafka_denial(struct kafka_client *c, const struct kafka_settings *s, int code,
                  char ret[KAFKA_DENIAL_MAX])
{
    char certificate[sizeof(c->certificate)], words[sizeof(c->words)], todo[600];

    *ret = '\0';
    pthread_mutex_lock(&c->lock);
    code = code ? code : c->denied;
    snprintf(certificate, sizeof(certificate), "%s", c->certificate);
    snprintf(words, sizeof(words), "%s",
             code == c->denied ? c->words : rd_kafka_err2str((rd_kafka_resp_err_t)code));
    pthread_mutex_unlock(&c->lock);
    if (kafka_classify(code) != KAFKA_DENIED)
        return false;
    advise(s, code, certificate, todo, sizeof(todo));
    bool named = code == (int)RD_KAFKA_RESP_ERR__SSL && *certificate; /* better than "failed" */
    snprintf(ret, KAFKA_DENIAL_MAX, "%s; %s", named ? certificate : words, todo);
    return true;
}

/* ---- the password again */

int kafka_login_again(rd_kafka_t *rk, const struct kafka_settings *s, struct error *ret_error)
{
    CLEANUP(credential_fini) struct buffer secret = BUFFER_NULL;
    const char *file = value_of(s, "sasl.password_file"), *user = value_of(s, "sasl.username");

    if (file == NULL || user == NULL)
        return 0;
    if (credential_read(file, "kafka.properties: sasl.password_file", false, &secret, ret_error) <
        0)
        return -1;
    rd_kafka_error_t *error = rd_kafka_sasl_set_credentials(rk, user, buffer_cstr(&secret));
    rd_kafka_error_destroy(error); /* a mechanism that has no password: then it is no help */
    return 0;
}

/* ---- warnings */

/* Every broker of the list "host:port,[::1]:port" is this machine. */
static bool all_local(const char *servers)
{
    for (const char *p = servers; *p; p += strcspn(p, ","), p += *p == ',') {
        const char *host = p + strspn(p, " ");
        const char *scheme = strstr(host, "://");
        if (scheme && scheme < host + strcspn(host, ","))
            host = scheme + 3;
        if (strncmp(host, "127.", 4) != 0 && strncmp(host, "localhost", 9) != 0 &&
            strncmp(host, "[::1]", 5) != 0)
            return false;
    }
    return true;
}

void kafka_warning(const struct kafka_settings *s, char *ret, size_t size)
{
    const char *protocol = value_of(s, "security.protocol");
    bool sasl = protocol && strcasecmp(protocol, "sasl_plaintext") == 0;

    *ret = '\0';
    if ((protocol && !sasl && strcasecmp(protocol, "plaintext") != 0) ||
        all_local(s->bootstrap_servers))
        return;
    snprintf(ret, size,
             "kafka: security.protocol is %s, so events%s travel unencrypted to %.200s; SSL or "
             "SASL_SSL protects them (docs/security.md)",
             sasl ? "SASL_PLAINTEXT" : "PLAINTEXT", sasl ? " and the login" : "",
             s->bootstrap_servers);
}
