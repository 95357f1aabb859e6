/* SPDX-License-Identifier: Apache-2.0 */
/* One call to an Avi controller: how it is written, what a refusal says, and what that means to a
 * person. Who may ask, and in which session, is avi_session.c; objects are read by rest.c. */

#include "targets/avi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "targets/device.h"

/* ---- asking ---- */

certauto__verdict certauto__avi_call(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *type, const char *uuid, const char *query)
{
	certauto__verdict verdict = certauto__device_ask(x, target, method, "/api/");

	certauto__buffer_text_add(&x->url, type);
	if (uuid != NULL)
		certauto__buffer_text_add(&x->url, "/");
	if (uuid != NULL)
		certauto__rest_segment(&x->url, uuid);
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

/* ---- what an answer says ---- */

int certauto__avi_is_no(const certauto__exchange *x)
{
	return x->rc < 0 || x->status >= 300;
}

int certauto__avi_says(const certauto__exchange *x, const char *text)
{
	certauto__buffer words;
	int says;

	certauto__rest_words(&words, x, "error");
	says = certauto__rest_has(certauto__buffer_text(&words), text);
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
	"the account lacks a right: certauto target recipe writes the role that has all it needs";
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

/* As the controller calls it; else what was asked for is in the path. */
static const struct certauto__avi_right *right_of(const certauto__exchange *x)
{
	const struct certauto__avi_right *right = certauto__avi_rights;
	const char *type = strstr(certauto__buffer_text(&x->url), "/api/");
	size_t len;

	for (; right->resource != NULL; right++)
		if (certauto__avi_says(x, right->resource))
			return right;
	if (type == NULL)
		return NULL;
	type += strlen("/api/");
	len = strcspn(type, "/?");
	right = certauto__avi_rights;
	while (right->resource != NULL &&
		(strlen(right->type) != len || strncmp(right->type, type, len) != 0))
		right++;
	return right->resource != NULL ? right : NULL;
}

/* Whether an account that may read may write too is often not seen before. */
static void advise_right(certauto_error *err, const certauto__exchange *x)
{
	const struct certauto__avi_right *right = right_of(x);

	if (right != NULL)
		certauto__error_advise(err,
			"the account needs the right to %s %s (%s): certauto target recipe writes "
			"the role that has it",
			certauto__text_equal(x->method, "GET") ? "read" : "write",
			right->resource, right->what);
}

int certauto__avi_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing)
{
	certauto__buffer words;
	const char *advice;
	int rc = meaning_of(x, &advice);

	certauto__rest_words(&words, x, "error");
	rc = certauto__rest_tell(err, x, target, object, doing, rc, 0, &words, advice);
	if (advice == advice_rights && x->rc == 0)
		advise_right(err, x);
	certauto__buffer_free(&words);
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
