/* SPDX-License-Identifier: Apache-2.0 */
/* One call to an NSX manager: how it is written, what a refusal says, and what that means to a
 * person. Who may ask, and in which session, is nsx_session.c; objects are read by rest.c. */

#include "targets/nsx.h"

#include <string.h>

#include "core/memory.h"
#include "json/reader.h"
#include "targets/device.h"

/* ---- asking ---- */

certauto__verdict certauto__nsx_call(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *path)
{
	return certauto__device_ask(x, target, method, path);
}

certauto__verdict certauto__nsx_call_at(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *address, const char *path)
{
	certauto__verdict verdict = certauto__device_ask(x, target, method, "");
	int is_plain = certauto__text_starts(certauto__option_text(target, "url"), "http:");

	certauto__buffer_clear(&x->url);
	certauto__buffer_printf(&x->url, "%s://%s%s", is_plain ? "http" : "https", address, path);
	return verdict;
}

void certauto__nsx_body(certauto__json *w, certauto__exchange *x)
{
	certauto__json_start(w, &x->body, 0);
}

/* ---- rows ---- */

static int cursor_cb(void *arg, const certauto__json_value *value)
{
	/* Some releases end a list with a cursor of zeros. */
	if (!certauto__json_is(value, "cursor") || value->type != CERTAUTO__JSON_STRING ||
		value->len == 0 || certauto__text_starts(value->text, "0000"))
		return 0;
	return certauto__json_copy(value, arg);
}

int certauto__nsx_rows(const certauto__exchange *x, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, char **cursor_out, certauto_error *err)
{
	const char *data;
	size_t len;
	int rc = certauto__rest_rows(x, fields, cb, arg, NULL, err);

	if (rc < 0 || cursor_out == NULL)
		return rc;
	*cursor_out = NULL;
	data = certauto__exchange_answer(x, &len);
	if (len > 0 && (rc = certauto__json_read(certauto__buffer_text(&x->url), data, len,
				&certauto__json_limits_device, cursor_cb, cursor_out, err)) < 0) {
		certauto__free(*cursor_out);
		*cursor_out = NULL;
	}
	return rc;
}

/* ---- what an answer says ---- */

static int code_cb(void *arg, const certauto__json_value *value)
{
	int64_t *code = arg;

	if (value->text != NULL && certauto__json_is(value, "error_code"))
		(void)certauto__number_parse(value->text, 0, INT32_MAX, code);
	return 0;
}

int certauto__nsx_code(const certauto__exchange *x)
{
	const char *data;
	int64_t code = 0;
	size_t len;

	data = certauto__exchange_answer(x, &len);
	if (x->rc < 0 || x->status < 300 ||
		certauto__json_read("refusal", data, len, &certauto__json_limits_device, code_cb,
			&code, NULL) < 0)
		return 0;
	return (int)code;
}

/* The message tells what failed, the first of the related ones often why. */
static int related_cb(void *arg, const certauto__json_value *value)
{
	certauto__buffer *words = arg;

	if (value->type != CERTAUTO__JSON_STRING ||
		!certauto__json_is(value, "related_errors[].error_message") ||
		value->indexes[1] != 0 || certauto__rest_has(words->data, value->text))
		return 0;
	certauto__buffer_printf(words, ": %.1000s", value->text);
	return 0;
}

static void words_of(certauto__buffer *words, const certauto__exchange *x)
{
	const char *data;
	size_t len;

	certauto__rest_words(words, x, "error_message");
	data = certauto__exchange_answer(x, &len);
	if (words->len > 0)
		(void)certauto__json_read("refusal", data, len, &certauto__json_limits_device,
			related_cb, words, NULL);
}

int certauto__nsx_says(const certauto__exchange *x, const char *text)
{
	certauto__buffer words;
	int says;

	words_of(&words, x);
	says = certauto__rest_has(certauto__buffer_text(&words), text);
	certauto__buffer_free(&words);
	return says;
}

int certauto__nsx_is_no(const certauto__exchange *x)
{
	return x->rc < 0 || x->status >= 300;
}

int certauto__nsx_is_login(const certauto__exchange *x)
{
	if (x->rc < 0 || (x->status != 401 && x->status != 403))
		return 0;
	return x->status == 401 || certauto__nsx_says(x, "credentials") ||
		certauto__nsx_says(x, "xsrf") || certauto__nsx_says(x, "locked");
}

int certauto__nsx_is_stale(const certauto__exchange *x)
{
	return x->rc == 0 && x->status == 412;
}

/* Some types answer 400 for what is not there. */
int certauto__nsx_is_missing(const certauto__exchange *x)
{
	if (x->rc < 0)
		return 0;
	return x->status == 404 || (x->status == 400 && (certauto__nsx_code(x) == 600 ||
		certauto__nsx_says(x, "could not be found") ||
		certauto__nsx_says(x, "does not exist")));
}

/* No two releases agree on how that is refused. */
int certauto__nsx_is_in_use(const certauto__exchange *x)
{
	if (x->rc < 0 || !certauto__text_equal(x->method, "DELETE"))
		return 0;
	return x->status == 409 || ((x->status == 400 || x->status == 403 || x->status == 412) &&
		(certauto__nsx_says(x, "in use") || certauto__nsx_says(x, "used by") ||
			certauto__nsx_says(x, "referenced")));
}

/* ---- what to do about it ---- */

static const char advice_login[] =
	"see that user and password are right, that the account is not locked, and that auth is "
	"remote for one of a directory; a refused login is not tried again in this run, so that it "
	"does not become so";
static const char advice_rights[] =
	"the account lacks a right: certauto target recipe writes the role that has them";
static const char advice_server[] =
	"set virtual_server to ids of the default project, as GET "
	"/policy/api/v1/infra/lb-virtual-servers tells them: an id is not the name that is shown";
static const char advice_stale[] = "somebody else was changing it at the same time: run it again";
static const char advice_busy[] = "the cluster is busy with another change: run it again";
static const char advice_broken[] =
	"see how the managers are: one that restarts or is upgraded answers like that";

static int meaning_of(const certauto__exchange *x, const char **advice)
{
	*advice = NULL;
	if (x->status < 300)
		return CERTAUTO_EPROTO;
	if (certauto__nsx_is_login(x)) {
		*advice = advice_login;
		return CERTAUTO_EAUTH;
	}
	if (certauto__nsx_is_in_use(x))
		return CERTAUTO_EREFUSED;
	if (certauto__nsx_is_missing(x)) {
		if (strstr(certauto__buffer_text(&x->url), "/infra/lb-virtual-servers/") != NULL)
			*advice = advice_server;
		return CERTAUTO_ENOTFOUND;
	}
	switch (x->status) {
	case 403:
		*advice = advice_rights;
		return CERTAUTO_EPERM;
	case 409:
	case 429:
		*advice = advice_busy;
		return CERTAUTO_EBUSY;
	case 412:
		*advice = advice_stale;
		return CERTAUTO_EBUSY;
	default:
		break;
	}
	if (x->status >= 500)
		*advice = advice_broken;
	return CERTAUTO_EREFUSED;
}

/* The code in front of the words: knowledge base articles go by it. */
int certauto__nsx_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing)
{
	certauto__buffer words;
	const char *advice;
	int rc = meaning_of(x, &advice);

	words_of(&words, x);
	rc = certauto__rest_tell(err, x, target, object, doing, rc, certauto__nsx_code(x), &words,
		advice);
	certauto__buffer_free(&words);
	return rc;
}

certauto__verdict certauto__nsx_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	certauto_error error = {0};

	certauto__nsx_tell(&error, x, certauto__nsx_target(job), object, doing);
	return certauto__fail_with(job, &error);
}

certauto__verdict certauto__nsx_gone(certauto_job *job, certauto__exchange *x)
{
	if (x->rc == 0 && ((x->status >= 200 && x->status < 300) || certauto__nsx_is_missing(x)))
		return CERTAUTO__NEXT;
	return certauto__fail_with(job, &x->error);
}
