/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets share that are reached by an API over HTTP. The name is all the marker an object
 * on a device can carry: it tells whose it is, and what was meant to be in it. */

#include "targets/device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "crypto/crypto.h"

#define ANSWER_NAME 40    /* bytes of the DNS name in that of a challenge: for people */
#define ANSWER_PREFIX 32
#define HEX "0123456789abcdef"
#define NAME_CHARS "_#.:@=-"
#define SIGN_MAX 256

/* ---- options ---- */

/* Passwords do not go over a line that anybody can read, unless somebody said so. */
int certauto__device_check_url(const certauto_target *target, const char *name,
	certauto_error *err)
{
	const char *url = certauto__option_text(target, name);
	int rc;

	if (url == NULL)
		return 0;
	if ((rc = certauto__url_check_configured(url, 1, err)) < 0) {
		certauto__error_prefix(err, "%s: option \"%s\"", target->label, name);
		return rc;
	}
	if (!certauto__text_starts(url, "http:"))
		return 0;
	if (certauto__option_text(target, "pin") != NULL ||
		certauto__option_text(target, "ca_file") != NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: options \"pin\" and \"ca_file\" need a url with https://, and "
			"option \"%s\" is http://", target->label, name);
	if (certauto__option_flag(target, "insecure"))
		return 0;
	certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"%s\" is http://: everybody on the way could read the password",
		target->label, name);
	certauto__error_advise(err,
		"write https://, with the device's CA as ca_file or its key as pin; or, knowing "
		"who can listen, set insecure, and allow_key_over_insecure to send keys too");
	return CERTAUTO_EINVAL;
}

int certauto__device_fits(const certauto_target *target, size_t n_keys, int sends,
	certauto_error *err)
{
	(void)n_keys;
	return sends ? certauto__target_may_take_key(target, err) : 0;
}

int certauto__device_check_name(const certauto_target *target, const char *name, const char *text,
	size_t max, const char *more, certauto_error *err)
{
	size_t i, len = text != NULL ? strlen(text) : 0;

	for (i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '_' &&
			(i == 0 || strchr(NAME_CHARS, text[i]) == NULL) &&
			(i == 0 || strchr(more, text[i]) == NULL))
			break;
	}
	if (i == len && len <= max)
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"%s\" is at most %zu letters, digits and \"" NAME_CHARS
		"%s\", a letter, digit or \"_\" first",
		target->label, name, max, more);
}

/* ---- calls ---- */

certauto__verdict certauto__device_ask(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *path)
{
	const char *url = certauto__option_text(target, "url");
	certauto__verdict verdict = certauto__ask_http(x, method, "");
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	certauto__buffer_printf(&x->url, "%.*s%s", (int)len, url, path);
	x->http = certauto__text_starts(url, "http:") ? CERTAUTO__HTTP_PLAIN : CERTAUTO__HTTP_API;
	x->ca_file = certauto__option_text(target, "ca_file");
	x->pin = certauto__option_text(target, "pin");
	x->insecure = certauto__option_flag(target, "insecure");
	x->timeout_ms = certauto__option_number(target, "timeout_ms");
	x->max_answer = CERTAUTO__HTTP_DEVICE_MAX;
	return verdict;
}

void certauto__device_headers_clear(certauto__exchange *x)
{
	size_t i;

	for (i = 0; i < x->headers.n; i++)
		certauto__wipe(x->headers.items[i], strlen(x->headers.items[i]));
	certauto__list_free(&x->headers);
}

static void sign_of(char out[SIGN_MAX], const certauto_target *target)
{
	/* One without a name of its own is called after its type. */
	if (certauto__text_equal(target->label, target->row->name))
		(void)snprintf(out, SIGN_MAX, "%s", target->label);
	else
		(void)snprintf(out, SIGN_MAX, "%s %s", target->row->name, target->label);
}

int certauto__device_sign(certauto_error *err, const certauto_target *target)
{
	char sign[SIGN_MAX];

	sign_of(sign, target);
	return certauto__error_prefix(err, "%s", sign);
}

const char *certauto__device_unsigned(const certauto_error *err, const certauto_target *target)
{
	const char *message = certauto_error_message(err);
	size_t len;
	char sign[SIGN_MAX];

	sign_of(sign, target);
	len = strlen(sign);
	return strncmp(message, sign, len) == 0 && strncmp(message + len, ": ", 2) == 0
		? message + len + 2 : message;
}

static void silence_sign(certauto_error *err, const certauto_target *target)
{
	if (err->code == 0 || err->code == CERTAUTO_ENOMEM || err->message == NULL ||
		certauto__device_unsigned(err, target) != err->message)
		return;
	certauto__device_sign(err, target);
	if (err->advice == NULL && (err->code == CERTAUTO_ENET || err->code == CERTAUTO_ETIMEDOUT))
		certauto__error_advise(err,
			"see that it is up, that its URL is right, and that no firewall is in "
			"between");
}

void certauto__device_silence(certauto_job *job, certauto__exchange *x,
	const certauto_target *target)
{
	silence_sign(&x->error, target);
	/* Those that are not even asked any more say it in the same words. */
	silence_sign(&certauto__job_peer(job)->last, target);
}

int certauto__device_silent(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *doing)
{
	const char *why;

	certauto__error_copy(err, &x->error);
	if (err->message != NULL) {
		why = certauto__device_unsigned(err, target);
		memmove(err->message, why, strlen(why) + 1);
	}
	certauto__error_prefix(err, "%s", doing);
	return certauto__device_sign(err, target);
}

certauto__verdict certauto__device_stop(certauto_job *job, const certauto_target *target, int code,
	const char *object, const char *advice, const char *format, va_list args)
{
	certauto_error error = {0};

	certauto__error_vset(&error, code, object, format, args);
	certauto__device_sign(&error, target);
	if (advice != NULL)
		certauto__error_advise(&error, "%s", advice);
	return certauto__fail_with(job, &error);
}

void certauto__device_waiting(certauto_job *job, const char *object, const char *text)
{
	if (certauto__fact_is(job, ".waits", text))
		return;
	certauto__fact_set(job, ".waits", text);
	certauto__waiting(job, object, 0, "%s", text);
}

int certauto__device_peer(certauto__peer **out, const certauto_target *target,
	const struct certauto__peer_ops *ops, const char *const *names, int width,
	certauto_error *err)
{
	certauto__buffer what = CERTAUTO__BUFFER(64 * 1024),
		key = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	const char *url = certauto__option_text(target, "url"), *text;
	char digest[65];
	int made, rc;

	what.secret = 1;
	for (; *names != NULL; names++) {
		text = certauto__option_text(target, *names);
		certauto__buffer_printf(&what, "%s\n", text != NULL ? text : "");
	}
	if ((rc = what.rc) == 0 &&
		(rc = certauto__sha256_hex(digest, what.data, what.len)) == 0 &&
		(rc = certauto__buffer_printf(&key, "%s:%s %.32s", ops->kind,
			 url != NULL ? url : "", digest)) == 0)
		rc = certauto__peer_get(out, target->object.cx, ops, certauto__buffer_text(&key),
			width, &made);
	if (rc < 0)
		certauto__error_set(err, rc, target->label, "%s: %s", target->label,
			certauto_error_text(rc));
	certauto__buffer_free(&what);
	certauto__buffer_free(&key);
	return rc;
}

/* ---- answers to challenges ---- */

static size_t answer_stem(char *out, size_t size, const certauto_target *target)
{
	(void)snprintf(out, size, "%.*s-acme-", ANSWER_PREFIX,
		certauto__option_text(target, "prefix"));
	return strlen(out);
}

void certauto__device_answer(char *out, size_t size, const certauto_target *target,
	const char *name, const char *token, int64_t now)
{
	size_t len = answer_stem(out, size, target);
	char both[1024], digest[65] = "";

	snprintf(both, sizeof(both), "%s %s", name, token);
	certauto__sha256_hex(digest, both, strlen(both));
	snprintf(out + len, size - len, "%08llx-%.16s-%.*s", (long long)now, digest, ANSWER_NAME,
		name);
}

int64_t certauto__device_answer_time(const char *object, const certauto_target *target)
{
	char stem[ANSWER_PREFIX + 8];
	size_t len = answer_stem(stem, sizeof(stem), target), n;

	if (!certauto__text_starts(object, stem))
		return 0;
	object += len;
	n = strspn(object, HEX);
	if (n < 8 || n > 15 || object[n] != '-' || strspn(object + n + 1, HEX) < 16)
		return 0;
	return (int64_t)strtoll(object, NULL, 16);
}

/* ---- CA objects ---- */

void certauto__device_ca(char *out, size_t size, const char *stem, int digits,
	const struct certauto__cert_info *ca)
{
	const char *id = ca->ski;

	/* A CA without a key identifier (RFC 5280 demands one) is told by its own digest alone. */
	if (id == NULL || strspn(id, HEX) < (size_t)digits)
		id = ca->fingerprint + digits;
	(void)snprintf(out, size, "%s%.*s-%.*s", stem, digits, id, digits, ca->fingerprint);
}

int certauto__device_is_own_ca(const char *name, const char *stem, int digits)
{
	size_t n = (size_t)digits;

	if (!certauto__text_starts(name, stem))
		return 0;
	name += strlen(stem);
	return strspn(name, HEX) == n && name[n] == '-' && strspn(name + n + 1, HEX) == n &&
		name[2 * n + 1] == '\0';
}

/* ---- lists of ids ---- */

int certauto__device_item(char *out, size_t size, const char **at)
{
	const char *item = *at;
	size_t len;

	while (item != NULL && *item == ',')
		item++;
	if (item == NULL || *item == '\0')
		return 0;
	len = strcspn(item, ",");
	/* What is too long is nothing: cut, it would be another's. */
	(void)snprintf(out, size, "%.*s", len < size ? (int)len : 0, item);
	*at = item + len;
	return 1;
}

int certauto__device_listed(const char *list, const char *item)
{
	char one[256];

	while (item != NULL && certauto__device_item(one, sizeof(one), &list)) {
		if (one[0] != '\0' && strcmp(one, item) == 0)
			return 1;
	}
	return 0;
}

void certauto__device_list_add(certauto_job *job, const char *name, const char *item)
{
	const char *list = certauto__fact_own(job, name);

	if (item != NULL && !certauto__device_listed(list, item))
		certauto__fact_printf(job, name, "%s%s%s", list != NULL ? list : "",
			list != NULL ? "," : "", item);
}

static void list_put(certauto__buffer *list, const char *items)
{
	if (items != NULL && *items != '\0')
		certauto__buffer_printf(list, "%s%s", list->len > 0 ? "," : "", items);
}

void certauto__device_list_swap(certauto__buffer *list, const char *now, const char *in,
	const char *out)
{
	char one[256];
	int is_in = 0;

	while (certauto__device_item(one, sizeof(one), &now)) {
		if (!certauto__device_listed(in, one) && !certauto__device_listed(out, one)) {
			list_put(list, one);
			continue;
		}
		list_put(list, is_in ? NULL : in);
		is_in = 1;
	}
	list_put(list, is_in ? NULL : in);
}
