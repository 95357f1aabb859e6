/* SPDX-License-Identifier: Apache-2.0 */
/* One call to a NetScaler: how it is written, what its answer says, and what the device's codes
 * mean to a person. Who may ask, and in which session, is netscaler_session.c. */

#include "targets/netscaler.h"

#include <string.h>

#include "json/reader.h"
#include "targets/device.h"
#include "targets/rest.h"

#define FIELDS_MAX 16
#define WORDS_MAX 4096 /* of a refusal: more is not looked at */
#define VALUES_MAX (8 * 1024 * 1024) /* text of one object: a file's content is one */

/* ---- asking ---- */

/* Names in a path are encoded twice, as the vendor's own clients do: the device decodes once to
 * find the path and once more to find the name. */
static void name_add(certauto__exchange *x, const char *name)
{
	certauto__buffer once = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);

	certauto__url_escape(&once, name);
	certauto__buffer_text_add(&x->url, "/");
	certauto__url_escape(&x->url, certauto__buffer_text(&once));
	if (once.rc < 0)
		x->url.rc = once.rc;
	certauto__buffer_free(&once);
}

static certauto__verdict call_begin(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *type, const char *name, const char *query)
{
	certauto__verdict verdict = certauto__device_ask(x, target, method, "/nitro/v1/config/");

	certauto__buffer_text_add(&x->url, type);
	if (name != NULL)
		name_add(x, name);
	if (query != NULL)
		certauto__buffer_printf(&x->url, "?%s", query);
	return verdict;
}

certauto__verdict certauto__netscaler_get(certauto__exchange *x, const certauto_target *target,
	const char *type, const char *name, const char *query)
{
	return call_begin(x, target, "GET", type, name, query);
}

certauto__verdict certauto__netscaler_delete(certauto__exchange *x, const certauto_target *target,
	const char *type, const char *name, const char *query)
{
	return call_begin(x, target, "DELETE", type, name, query);
}

static void body_begin(certauto__json *w, certauto__exchange *x, const char *type)
{
	certauto__json_start(w, &x->body, 0);
	certauto__json_object(w);
	certauto__json_key(w, type);
	certauto__json_object(w);
}

void certauto__netscaler_post(certauto__json *w, certauto__exchange *x,
	const certauto_target *target, const char *type, const char *action)
{
	call_begin(x, target, "POST", type, NULL, NULL);
	if (action != NULL)
		certauto__buffer_printf(&x->url, "?action=%s", action);
	body_begin(w, x, type);
}

void certauto__netscaler_put(certauto__json *w, certauto__exchange *x,
	const certauto_target *target, const char *type)
{
	call_begin(x, target, "PUT", type, NULL, NULL);
	body_begin(w, x, type);
}

certauto__verdict certauto__netscaler_end(certauto__json *w)
{
	certauto__json_object_end(w);
	certauto__json_object_end(w);
	return CERTAUTO__SEND;
}

void certauto__netscaler_arg(certauto__buffer *query, const char *name, const char *value)
{
	size_t len = query->len;

	certauto__buffer_printf(query, "%s%s:",
		len > 0 && query->data[len - 1] != '=' ? "," : "", name);
	certauto__url_escape(query, value);
}

/* ---- what an answer says ---- */

struct answer {
	int64_t code;
	int rc;                  /* CERTAUTO_ENOMEM: it is not known */
	int warning;             /* it was done all the same */
	certauto__buffer words;  /* as they came */
};

static int answer_cb(void *arg, const certauto__json_value *value)
{
	struct answer *answer = arg;

	if (value->n_parts != 1)
		return 0;
	if (certauto__json_is(value, "errorcode"))
		return certauto__json_int(value, INT32_MIN, INT32_MAX, &answer->code);
	if (value->type != CERTAUTO__JSON_STRING)
		return 0;
	if (certauto__json_is(value, "severity"))
		answer->warning = strcmp(value->text, "WARNING") == 0;
	else if (certauto__json_is(value, "message") && answer->words.len == 0)
		certauto__buffer_add(&answer->words, value->text,
			value->len < WORDS_MAX ? value->len : WORDS_MAX);
	return 0;
}

/* A no whose body is lost or a proxy's still has its status. */
static int64_t code_of_status(int status)
{
	switch (status) {
	case 401:
		return CERTAUTO__NS_NOT_LOGGED_IN;
	case 403:
		return CERTAUTO__NS_NOT_AUTHORIZED;
	case 404:
		return CERTAUTO__NS_NO_RESOURCE;
	case 409:
		return CERTAUTO__NS_EXISTS;
	default:
		return -1;
	}
}

/* A node that is no (longer) primary takes what is written to it, says so, and forgets it when it
 * is in step again. dress_arg: not of a login, which is told the same. */
static int is_lost(const certauto__exchange *x, int64_t code)
{
	return code == CERTAUTO__NS_SECONDARY && x->dress_arg != NULL &&
		!certauto__text_equal(x->method, "GET");
}

/* An empty body with a good status is a yes: seen on devices that were slow. */
static void answer_read(struct answer *answer, const certauto__exchange *x)
{
	int is_good = x->rc == 0 && x->status >= 200 && x->status < 300, rc = 0;
	const char *data;
	size_t len;

	memset(answer, 0, sizeof(*answer));
	certauto__buffer_init(&answer->words, WORDS_MAX);
	answer->words.secret = 1;
	data = certauto__exchange_answer(x, &len);
	if (len > 0)
		rc = certauto__json_read(certauto__buffer_text(&x->url), data, len,
			&certauto__json_limits_device, answer_cb, answer, NULL);
	answer->rc = rc == CERTAUTO_ENOMEM || answer->words.rc == CERTAUTO_ENOMEM
		? CERTAUTO_ENOMEM : 0;
	if (answer->rc < 0 || (is_good && rc < 0))
		answer->code = -1;
	else if (is_good && answer->warning && !is_lost(x, answer->code))
		answer->code = 0;
	else if (!is_good && (rc < 0 || answer->code == 0))
		answer->code = code_of_status(x->status);
}

int certauto__netscaler_code(const certauto__exchange *x)
{
	struct answer answer;

	answer_read(&answer, x);
	certauto__buffer_free(&answer.words);
	return (int)answer.code;
}

/* ---- what to do about it ---- */

struct meaning {
	short code;
	signed char rc;
	const char *advice;
};

static const char advice_rights[] =
	"the account lacks a right: certauto target test names those that are missing, certauto "
	"target recipe writes the commands that give them";
static const char advice_login[] =
	"see that user and password are right and the account is not locked; a refused login is "
	"not tried again in this run, so that it does not become so";
static const char advice_sessions[] =
	"the device has as many sessions as it allows: end some of them, or wait until they have "
	"timed out";
static const char advice_primary[] =
	"name the primary's address as url, or set ha to follow";
static const char advice_file[] = "see that the option folder is a folder of the device";

static const struct meaning meanings[] = {
	{CERTAUTO__NS_NO_RIGHT, CERTAUTO_EPERM, advice_rights},
	{CERTAUTO__NS_NO_RESOURCE, CERTAUTO_ENOTFOUND, NULL},
	{350, CERTAUTO_EAUTH, advice_login},
	{352, CERTAUTO_EAUTH, advice_login},
	{353, CERTAUTO_EAUTH, advice_login},
	{CERTAUTO__NS_BAD_LOGIN, CERTAUTO_EAUTH, advice_login},
	{CERTAUTO__NS_BAD_LOGIN_TOO, CERTAUTO_EAUTH, advice_login},
	{CERTAUTO__NS_PRIMARY_ONLY, CERTAUTO_EREFUSED, advice_primary},
	{371, CERTAUTO_EPERM, advice_rights},
	{CERTAUTO__NS_SECONDARY, CERTAUTO_EREFUSED, advice_primary},
	{284, CERTAUTO_EREFUSED, "make room on the device's disk: df -h in its shell tells"},
	{356, CERTAUTO_EREFUSED, "the device's license does not have this feature"},
	{CERTAUTO__NS_SESSION_GONE, CERTAUTO_EAUTH, NULL},
	{CERTAUTO__NS_SESSION_LIMIT, CERTAUTO_EBUSY, advice_sessions},
	{CERTAUTO__NS_CONNECTION_LIMIT, CERTAUTO_EBUSY, advice_sessions},
	{CERTAUTO__NS_NOT_LOGGED_IN, CERTAUTO_EAUTH, NULL},
	{1065, CERTAUTO_EREFUSED, "name the address of the cluster, or of its node, as url"},
	{1067, CERTAUTO_EREFUSED, "switch the feature on: enable ns feature responder ssl lb cs"},
	{1075, CERTAUTO_EREFUSED, "choose another prefix"},
	{1106, CERTAUTO_EREFUSED,
		"the device takes shorter names than expected: set name_max, or a shorter prefix"},
	{1203, CERTAUTO_EREFUSED, "name the address of the cluster, not of a node, as url"},
	{CERTAUTO__NS_NO_BIND_RESOURCE, CERTAUTO_ENOTFOUND, NULL},
	{1244, CERTAUTO_EAUTH, "the device takes sessions only: set auth to session"},
	{1537, CERTAUTO_EREFUSED,
		"the device cannot read the key: another key type, or encrypt_key, may help"},
	{CERTAUTO__NS_NO_CERTKEY, CERTAUTO_ENOTFOUND, NULL},
	{CERTAUTO__NS_REFERENCED, CERTAUTO_EREFUSED, "it is bound or linked to something else"},
	{1544, CERTAUTO_EREFUSED, "give virtual servers of type SSL as ssl_vserver"},
	{CERTAUTO__NS_NOT_AUTHORIZED, CERTAUTO_EPERM, advice_rights},
	{3440, CERTAUTO_ENOTFOUND, advice_file},
	{CERTAUTO__NS_NO_FILE, CERTAUTO_ENOTFOUND, NULL},
	{3445, CERTAUTO_EREFUSED, advice_file},
	{3446, CERTAUTO_EREFUSED, advice_file},
	{CERTAUTO__NS_OTHER_DOMAIN, CERTAUTO_EREFUSED,
		"the certificate is for other names than the one it replaces: leave domain_check "
		"off"},
	{3627, CERTAUTO_EREFUSED, "SNI is off at the virtual server"},
};

static const struct meaning *meaning_of(int64_t code)
{
	static const struct meaning other = {0, CERTAUTO_EREFUSED, NULL};
	size_t i;

	for (i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].code == code)
			return &meanings[i];
	}
	return &other;
}

static void words_show(struct answer *answer, const certauto_target *target)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX);

	certauto__rest_hide(&answer->words, target);
	if (certauto__text_escape(&shown, certauto__buffer_text(&answer->words),
		    answer->words.len) < 0)
		answer->rc = CERTAUTO_ENOMEM;
	certauto__buffer_free(&answer->words);
	answer->words = shown;
}

int certauto__netscaler_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing)
{
	const struct meaning *meaning;
	struct answer answer;
	int rc;

	certauto__error_clear(err);
	if (x->rc < 0)
		return certauto__device_silent(err, x, target, doing);
	answer_read(&answer, x);
	words_show(&answer, target);
	meaning = meaning_of(answer.code);
	rc = x->status >= 200 && x->status < 300 && answer.code < 0 ? CERTAUTO_EPROTO : meaning->rc;
	/* A yes that is told of as a no was not read the first time, for want of memory. */
	if (answer.rc < 0 || answer.code == 0)
		rc = certauto__error_nomem(err);
	else if (answer.words.len > 0)
		certauto__error_set(err, rc, object, "%s: code %lld (\"%s\")", doing,
			(long long)answer.code, answer.words.data);
	else
		certauto__error_set(err, rc, object, "%s: HTTP status %d without a word of NITRO",
			doing, x->status);
	certauto__device_sign(err, target);
	err->status = x->status;
	if (meaning->advice != NULL)
		certauto__error_advise(err, "%s", meaning->advice);
	certauto__buffer_free(&answer.words);
	return rc;
}

/* ---- objects ---- */

struct rows {
	const char *type;
	const char *const *fields;
	size_t n_fields;
	certauto__netscaler_row_cb cb;
	void *arg;
	certauto__buffer text;          /* the values of one object, each with its NUL */
	size_t at[FIELDS_MAX];          /* 1 + where it begins in text; 0: it has none */
};

static int row_end(struct rows *rows)
{
	const char *values[FIELDS_MAX];
	size_t i;

	for (i = 0; i < rows->n_fields; i++)
		values[i] = rows->at[i] != 0 ? rows->text.data + rows->at[i] - 1 : NULL;
	return rows->cb(rows->arg, values);
}

static int row_value(struct rows *rows, size_t field, const char *text, size_t len)
{
	/* Items of an array become one text with commas: its last one is still open. */
	if (rows->at[field] == 0)
		rows->at[field] = rows->text.len + 1;
	else
		rows->text.data[rows->text.len - 1] = ',';
	certauto__buffer_add(&rows->text, text, len);
	return certauto__buffer_add(&rows->text, "", 1);
}

static int rows_value(struct rows *rows, const certauto__json_value *value, const char *name)
{
	size_t i;

	for (i = 0; i < rows->n_fields; i++) {
		if (strcmp(rows->fields[i], name) != 0)
			continue;
		if (value->text != NULL)
			return row_value(rows, i, value->text, value->len);
		if (value->type == CERTAUTO__JSON_TRUE || value->type == CERTAUTO__JSON_FALSE)
			return row_value(rows, i,
				value->type == CERTAUTO__JSON_TRUE ? "true" : "false",
				value->type == CERTAUTO__JSON_TRUE ? 4 : 5);
	}
	return 0;
}

/* Types with one instance come as an object, all others as a list of them. */
static int rows_cb(void *arg, const certauto__json_value *value)
{
	struct rows *rows = arg;
	size_t level;

	if (value->n_parts == 0 || strcmp(value->parts[0], rows->type) != 0)
		return 0;
	level = value->n_parts > 1 && strcmp(value->parts[1], "[]") == 0 ? 2 : 1;
	if (value->n_parts == level && value->type == CERTAUTO__JSON_OBJECT) {
		certauto__buffer_clear(&rows->text);
		memset(rows->at, 0, sizeof(rows->at));
	} else if (value->n_parts == level && value->type == CERTAUTO__JSON_OBJECT_END) {
		return row_end(rows);
	} else if (value->n_parts == level + 1 ||
		(value->n_parts == level + 2 && strcmp(value->parts[level + 1], "[]") == 0)) {
		return rows_value(rows, value, value->parts[level]);
	}
	return 0;
}

int certauto__netscaler_rows(const certauto__exchange *x, const char *type,
	const char *const *fields, certauto__netscaler_row_cb cb, void *arg, certauto_error *err)
{
	struct rows rows = {.type = type, .fields = fields, .cb = cb, .arg = arg};
	const char *data;
	size_t len;
	int rc = 0;

	while (fields[rows.n_fields] != NULL)
		rows.n_fields++;
	certauto__buffer_init(&rows.text, VALUES_MAX);
	rows.text.secret = 1; /* a file may be a key */
	data = certauto__exchange_answer(x, &len);
	if (len > 0)
		rc = certauto__json_read(certauto__buffer_text(&x->url), data, len,
			&certauto__json_limits_device, rows_cb, &rows, err);
	certauto__buffer_free(&rows.text);
	return rc;
}

/* ---- taken back ---- */

certauto__verdict certauto__netscaler_gone(certauto_job *job, certauto__exchange *x)
{
	static const short codes[] = {CERTAUTO__NS_DONE, CERTAUTO__NS_NO_RESOURCE,
		CERTAUTO__NS_NO_BIND_RESOURCE, CERTAUTO__NS_NO_CERTKEY, CERTAUTO__NS_NOT_BOUND_PAIR,
		CERTAUTO__NS_NO_LINK, CERTAUTO__NS_NOT_BOUND, CERTAUTO__NS_NO_FILE};
	int code = x->rc < 0 ? -1 : certauto__netscaler_code(x);
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i] == code)
			return CERTAUTO__NEXT;
	}
	if (x->error.code == 0) /* it was a yes when it was judged */
		certauto__error_nomem(&x->error);
	return certauto__fail_with(job, &x->error);
}
