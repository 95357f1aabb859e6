/* SPDX-License-Identifier: Apache-2.0 */
/* What of a challenge all targets need: where its answer is shown, and the look at our own http-01
 * answer before the CA is told to look: a mistake in the set-up costs a failed validation there,
 * and those are limited. */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "jobs/target.h"

#define CHECK_PATIENCE_MS 5000
#define CHECK_DELAY_MS 20 /* doubled after each look */
#define CHECK_DELAY_MAX_MS 640
#define CHECK_REQUEST_MS 5000
#define CHECK_ANSWER_MAX 4096
#define CHECK_SHOWN 64 /* bytes of a wrong answer that the message repeats */

/* ---- where, and what ---- */

/* draft-ietf-acme-dns-account-label 3.2: the first ten bytes of the digest of the account's URL in
 * lower-case base32, which needs no padding then. */
static void account_label(char out[17], const char *account_url)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char digest[32];
	size_t i, bit;

	certauto__sha256(digest, account_url, strlen(account_url));
	for (i = 0; i < 16; i++) {
		bit = i * 5;
		out[i] = alphabet[((digest[bit / 8] << 8 | digest[bit / 8 + 1]) >>
					  (11 - bit % 8)) & 31];
	}
	out[16] = '\0';
}

/* RFC 8738 6: the name of a CA's TLS handshake is the one by which the DNS would be asked for the
 * address. */
static int sni_of(certauto__buffer *out, const char *name)
{
	unsigned char address[16];
	size_t i;

	if (inet_pton(AF_INET, name, address) == 1)
		return certauto__buffer_printf(out, "%u.%u.%u.%u.in-addr.arpa", address[3],
			address[2], address[1], address[0]);
	if (inet_pton(AF_INET6, name, address) != 1)
		return certauto__buffer_text_add(out, name);
	for (i = sizeof(address); i-- > 0;)
		certauto__buffer_printf(out, "%x.%x.", address[i] & 15U, address[i] >> 4U);
	return certauto__buffer_text_add(out, "ip6.arpa");
}

/* The hooks of other clients are given the text itself, which has no dot. */
static void set_txt(certauto_job *job, const char *value)
{
	certauto__buffer text = CERTAUTO__BUFFER(64);
	unsigned char digest[32];

	if (strchr(value, '.') == NULL) {
		certauto__fact_set(job, "txt", value);
		return;
	}
	certauto__sha256(digest, value, strlen(value));
	certauto__base64url_encode(&text, digest, sizeof(digest));
	certauto__fact_set(job, "txt", certauto__buffer_text(&text));
	certauto__buffer_free(&text);
}

int certauto__present_facts(certauto_job *job, const char *challenge, const char *name,
	const char *value, const char *account_url)
{
	certauto__buffer record = CERTAUTO__BUFFER(512);
	char label[17];
	int rc;

	if (certauto__text_equal(challenge, "http-01"))
		return 0;
	if (certauto__text_equal(challenge, "tls-alpn-01")) {
		sni_of(&record, name);
	} else {
		name += certauto__text_starts(name, "*.") ? 2 : 0;
		if (certauto__text_equal(challenge, "dns-account-01")) {
			if (account_url == NULL)
				return CERTAUTO_EUNSUPPORTED;
			account_label(label, account_url);
			certauto__buffer_printf(&record, "_%s.", label);
		}
		certauto__buffer_printf(&record, "_acme-challenge.%s", name);
		if (value != NULL && *value != '\0')
			set_txt(job, value);
	}
	if ((rc = record.rc) == 0)
		certauto__fact_set(job, "record", record.data);
	certauto__buffer_free(&record);
	return rc;
}

int certauto__present_pair(certauto__buffer *out, const certauto_job *job, certauto_error *err)
{
	const char *name = certauto__fact(job, "name"), *value = certauto__fact(job, ".value");
	certauto__certs *certs = NULL;
	certauto__pkey *key = NULL;
	certauto__secret *pem = NULL;
	unsigned char digest[32];
	int rc;

	if (name == NULL || value == NULL)
		return certauto__error_set(err, CERTAUTO_ENOTFOUND, name,
			"there is no challenge to make a certificate for");
	certauto__sha256(digest, value, strlen(value));
	out->secret = 1;
	if ((rc = certauto__certs_challenge(&certs, &key, name, digest, err)) == 0 &&
		(rc = certauto__pkey_format(&pem, key, err)) == 0) {
		certauto__certs_format(out, certs, CERTAUTO__PART_LEAF);
		rc = certauto__buffer_add(out, certauto__secret_data(pem),
			certauto__secret_len(pem));
	}
	certauto__secret_free(pem);
	certauto__pkey_free(key);
	certauto__certs_free(certs);
	return rc == CERTAUTO_ENOMEM ? certauto__error_nomem(err) : rc;
}

/* ---- before it is answered ---- */

int certauto__challenge_is_text(const char *text)
{
	return text != NULL && text[0] != '\0' &&
		text[strspn(text,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")] ==
		'\0';
}

static int may_be_shown(const certauto_job *job, const char *name)
{
	const char *text = certauto__fact(job, name);

	return (text == NULL && certauto__planning(job)) || certauto__challenge_is_text(text);
}

certauto__verdict certauto__challenge_begin(certauto_job *job, const certauto_target *target)
{
	if (certauto__target_able(target, CERTAUTO_TARGET_HTTP01, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (may_be_shown(job, "token") && may_be_shown(job, ".value"))
		return CERTAUTO__NEXT;
	return certauto__fail(job, CERTAUTO_EINVAL, target->label,
		"%s: the challenge's token or answer has characters that none may have (RFC 8555 "
		"8.1)",
		target->label);
}

/* ---- the look ---- */

/* RFC 8738 3: an IPv6 address stands in brackets. */
static int challenge_url(char out[CERTAUTO__HTTP_URL_MAX], const certauto_job *job)
{
	const char *name = certauto__fact(job, "name");
	int is_ipv6 = strchr(name, ':') != NULL;

	return snprintf(out, CERTAUTO__HTTP_URL_MAX, "http://%s%s%s/.well-known/acme-challenge/%s",
		is_ipv6 ? "[" : "", name, is_ipv6 ? "]" : "", certauto__fact(job, "token"));
}

certauto__verdict certauto__challenge_check_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *through = certauto__option_text(target, "challenge_check");
	const char *challenge = certauto__fact(job, "challenge");
	char url[CERTAUTO__HTTP_URL_MAX], address[CERTAUTO__ADDRESS];
	certauto__verdict verdict;

	if (certauto__text_equal(through, "no") || certauto__planning(job) ||
		(challenge != NULL && !certauto__text_equal(challenge, "http-01")))
		return CERTAUTO__NEXT;
	challenge_url(url, job);
	verdict = certauto__ask_http(x, "GET", url);
	x->http = CERTAUTO__HTTP_SELFCHECK;
	x->timeout_ms = CHECK_REQUEST_MS;
	x->max_answer = CHECK_ANSWER_MAX;
	if (through == NULL || certauto__text_equal(through, "auto") ||
		certauto__address_format(address, through, 80) < 0)
		return verdict;
	/* A fact of the job lives as long as the exchange that borrows it. */
	certauto__fact_set(job, ".check.address", address);
	x->connect_to = certauto__fact_own(job, ".check.address");
	return verdict;
}

/* What came back instead, for people. A body with the key authorization in it is not repeated. */
static void check_seen(certauto__buffer *out, const certauto_job *job, const certauto__exchange *x)
{
	const char *value = certauto__fact(job, ".value"), *body;
	size_t len;

	if (x->rc < 0) {
		certauto__buffer_text_add(out, certauto_error_message(&x->error));
		return;
	}
	body = certauto__exchange_answer(x, &len);
	if (value != NULL && strstr(body, value) != NULL) {
		certauto__buffer_printf(out, "HTTP %d came back, the right answer in it, but %s",
			x->status, x->status == 200 ? "with something around it"
						    : "the status must be 200");
		return;
	}
	certauto__buffer_printf(out, "HTTP %d came back, beginning with \"", x->status);
	certauto__text_escape(out, body, len < CHECK_SHOWN ? len : CHECK_SHOWN);
	certauto__buffer_text_add(out, "\"");
}

static certauto__verdict check_failed(certauto_job *job, const certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *name = certauto__fact(job, "name"),
		   *through = certauto__fact_own(job, ".check.address");
	certauto__buffer seen = CERTAUTO__BUFFER(4096);
	char url[CERTAUTO__HTTP_URL_MAX];
	certauto_error error = {0};

	check_seen(&seen, job, x);
	challenge_url(url, job);
	certauto__error_set(&error, CERTAUTO_ECHALLENGE, name,
		"%s: %s, asked through %s, does not give the challenge's answer: %s",
		target->label, url, through != NULL ? through : "port 80 of that name",
		certauto__buffer_text(&seen));
	certauto__error_advise(&error,
		"the CA will ask for the same URL: see that %s leads to target \"%s\". If only "
		"this machine cannot reach it, set the option challenge_check to the host:port to "
		"ask here, or to no",
		name, target->label);
	certauto__buffer_free(&seen);
	return certauto__fail_with(job, &error);
}

certauto__verdict certauto__challenge_check_read(certauto_job *job, certauto__exchange *x)
{
	const char *value = certauto__fact(job, ".value"), *body;
	int64_t attempts = certauto__step_attempts(job);
	size_t len;

	body = certauto__exchange_answer(x, &len);
	if (x->rc == 0 && x->status == 200 && value != NULL && len == strlen(value) &&
		memcmp(body, value, len) == 0)
		return CERTAUTO__NEXT;
	if (certauto__step_age_ms(job) < CHECK_PATIENCE_MS)
		return certauto__again(job,
			attempts < 6 ? (int64_t)CHECK_DELAY_MS << (attempts - 1)
				     : CHECK_DELAY_MAX_MS);
	return check_failed(job, x);
}
