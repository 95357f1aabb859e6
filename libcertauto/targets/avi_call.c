/* SPDX-License-Identifier: Apache-2.0 */
/* One call to an Avi controller: how it is written, what a refusal says, and what that means to a
 * person. Who may ask, and in which session, is avi_session.c; objects are read by avi_object.c. */

#include "targets/avi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "json/reader.h"
#include "targets/device.h"

#define WORDS_MAX 4096 /* of a refusal: more is not looked at */

/* ---- asking ---- */

certauto__verdict certauto__avi_call(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *type, const char *uuid, const char *query)
{
	certauto__verdict verdict = certauto__device_ask(x, target, method, "/api/");
	char one[2] = "/";

	certauto__buffer_text_add(&x->url, type);
	if (uuid != NULL)
		certauto__buffer_text_add(&x->url, "/");
	for (; uuid != NULL && *uuid != '\0'; uuid++) {
		one[0] = *uuid;
		if (*uuid == '/')
			certauto__buffer_text_add(&x->url, one);
		else
			certauto__url_escape(&x->url, one);
	}
	if (query != NULL && *query != '\0')
		certauto__buffer_printf(&x->url, "?%s", query);
	return verdict;
}

void certauto__avi_body(certauto__json *w, certauto__exchange *x)
{
	certauto__json_start(w, &x->body, 0);
}

void certauto__avi_arg(certauto__buffer *query, const char *name, const char *value)
{
	certauto__buffer_printf(query, "%s%s=", query->len > 0 ? "&" : "", name);
	certauto__url_escape(query, value);
}

const char *certauto__avi_key(char out[CERTAUTO__AVI_NAME], const char *type, const char *object)
{
	size_t i, len = strlen(type);

	for (i = 0; object[i] != '\0' && i < CERTAUTO__AVI_NAME - 1; i++)
		out[i] = (char)tolower((unsigned char)object[i]);
	out[i] = '\0';
	if (certauto__text_starts(out, type) && out[len] == '-')
		return "uuid";
	(void)snprintf(out, CERTAUTO__AVI_NAME, "%s", object);
	return "name";
}

void certauto__avi_put_ref(certauto__json *w, const char *key, const char *type, const char *uuid)
{
	char ref[2 * CERTAUTO__AVI_UUID];

	(void)snprintf(ref, sizeof(ref), "/api/%s/%s", type, uuid);
	certauto__json_put_text(w, key, ref);
}

void certauto__avi_uuid(char out[CERTAUTO__AVI_UUID], const char *ref)
{
	size_t len = strcspn(ref, "?#"), begin = len;

	while (len > 0 && ref[len - 1] == '/')
		begin = --len;
	while (begin > 0 && ref[begin - 1] != '/')
		begin--;
	/* What is too long for one is none: cut, it would be another's. */
	len = len - begin < CERTAUTO__AVI_UUID ? len - begin : 0;
	memcpy(out, ref + begin, len);
	out[len] = '\0';
}

/* ---- what an answer says ---- */

static int words_cb(void *arg, const certauto__json_value *value)
{
	certauto__buffer *words = arg;

	if (value->type != CERTAUTO__JSON_STRING)
		return 0;
	if (certauto__json_is(value, "error"))
		certauto__buffer_clear(words);
	if (words->len == 0)
		certauto__buffer_add(words, value->text,
			value->len < WORDS_MAX ? value->len : WORDS_MAX);
	return 0;
}

/* {"error": "..."}; in some releases another string; and text whose type claims to be JSON. What a
 * proxy says, in HTML, is nothing the controller said; what it repeats of ours, as PEM, may be a
 * key. */
static void words_of(certauto__buffer *words, const certauto__exchange *x)
{
	const char *data, *pem;
	size_t len;

	certauto__buffer_init(words, WORDS_MAX);
	words->secret = 1;
	data = certauto__exchange_answer(x, &len);
	if (x->rc < 0 || len == 0 || data[strspn(data, " \t\r\n")] == '<')
		return;
	if (certauto__json_read("refusal", data, len, &certauto__json_limits_device, words_cb,
		    words, NULL) < 0)
		certauto__buffer_clear(words);
	if (words->len == 0 && strchr("{[", data[0]) == NULL)
		certauto__buffer_add(words, data, len < WORDS_MAX ? len : WORDS_MAX);
	if ((pem = strstr(certauto__buffer_text(words), "-----BEGIN")) != NULL)
		words->data[words->len = (size_t)(pem - words->data)] = '\0';
	while (words->len > 0 && isspace((unsigned char)words->data[words->len - 1]))
		words->data[--words->len] = '\0';
}

static int has(const char *text, const char *part)
{
	size_t i;

	for (; *text != '\0'; text++) {
		for (i = 0; part[i] != '\0' &&
			tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]); i++)
			;
		if (part[i] == '\0')
			return 1;
	}
	return 0;
}

int certauto__avi_says(const certauto__exchange *x, const char *text)
{
	certauto__buffer words;
	int says;

	words_of(&words, x);
	says = has(certauto__buffer_text(&words), text);
	certauto__buffer_free(&words);
	return says;
}

int certauto__avi_is_stale(const certauto__exchange *x)
{
	if (x->rc < 0 || certauto__text_equal(x->method, "DELETE"))
		return 0;
	return x->status == 412 ||
		(x->status == 409 && certauto__text_equal(x->method, "PUT"));
}

int certauto__avi_is_taken(const certauto__exchange *x)
{
	return x->rc == 0 && x->status == 409 && certauto__text_equal(x->method, "POST");
}

/* Releases do not agree on the status. */
int certauto__avi_is_in_use(const certauto__exchange *x)
{
	if (x->rc < 0 || !certauto__text_equal(x->method, "DELETE"))
		return 0;
	if (x->status == 409 || x->status == 412)
		return 1;
	return (x->status == 400 || x->status == 403) &&
		(certauto__avi_says(x, "referred") || certauto__avi_says(x, "in use"));
}

/* ---- what to do about it ---- */

static const char advice_login[] =
	"see that user and password, or token, are right and the account is not locked; a refused "
	"login is not tried again in this run, so that it does not become so";
static const char advice_rights[] =
	"the account lacks a right: certauto target test names those that are missing, certauto "
	"target recipe writes the role that has them";
static const char advice_version[] =
	"leave out api_version: then the controller's own version is spoken";
static const char advice_stale[] = "somebody else was changing it at the same time: run it again";
static const char advice_broken[] =
	"see how the controller is: one that restarts or is upgraded answers like that";

static int meaning_of(const certauto__exchange *x, const char **advice)
{
	*advice = NULL;
	if (x->status < 300)
		return CERTAUTO_EPROTO;
	if (certauto__avi_is_stale(x)) {
		*advice = advice_stale;
		return CERTAUTO_EBUSY;
	}
	if (certauto__avi_is_in_use(x))
		return CERTAUTO_EREFUSED;
	switch (x->status) {
	case 401:
	case 419:
		*advice = advice_login;
		return CERTAUTO_EAUTH;
	case 403:
		*advice = advice_rights;
		return CERTAUTO_EPERM;
	case 404:
		return CERTAUTO_ENOTFOUND;
	default:
		break;
	}
	if (x->status >= 500)
		*advice = advice_broken;
	else if (certauto__avi_says(x, "invalid version"))
		*advice = advice_version;
	return CERTAUTO_EREFUSED;
}

int certauto__avi_sign(certauto_error *err, const certauto_target *target)
{
	return certauto__device_sign(err, target);
}

int certauto__avi_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing)
{
	certauto__buffer words, shown = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);
	const char *advice;
	int rc;

	certauto__error_clear(err);
	if (x->rc < 0) {
		certauto__error_copy(err, &x->error);
		certauto__error_prefix(err, "%s", doing);
		return certauto__device_sign(err, target);
	}
	rc = meaning_of(x, &advice);
	words_of(&words, x);
	certauto__text_escape(&shown, certauto__buffer_text(&words), words.len);
	if (shown.len > 0)
		certauto__error_set(err, rc, object, "%s: HTTP status %d (\"%s\")", doing,
			x->status, shown.data);
	else
		certauto__error_set(err, rc, object, "%s: HTTP status %d", doing, x->status);
	certauto__device_sign(err, target);
	err->status = x->status;
	if (advice != NULL)
		certauto__error_advise(err, "%s", advice);
	certauto__buffer_free(&words);
	certauto__buffer_free(&shown);
	return rc;
}

certauto__verdict certauto__avi_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	certauto_error error = {0};

	certauto__avi_tell(&error, x, certauto__avi_target(job), object, doing);
	return certauto__fail_with(job, &error);
}

certauto__verdict certauto__avi_gone(certauto_job *job, certauto__exchange *x)
{
	if (x->rc == 0 && ((x->status >= 200 && x->status < 300) || x->status == 404))
		return CERTAUTO__NEXT;
	return certauto__fail_with(job, &x->error);
}
