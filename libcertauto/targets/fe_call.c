/* SPDX-License-Identifier: Apache-2.0 */
/* What a cloud's services answer: rows of lists with pages, refusals in the forms that the services
 * have each of their own, and what these mean to a person. How a call gets to its service, and who
 * asks, is fe_session.c. */

#include "targets/fe.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "json/reader.h"
#include "targets/device.h"

#define SKEW_S 600 /* of our clock: signatures are taken for 900 */

/* ---- asking ---- */

certauto__verdict certauto__fe_call_at(certauto_job *job, certauto__exchange *x,
	enum certauto__fe_service service, const char *method, const char *const *parts,
	const char *query)
{
	certauto__buffer path = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;
	size_t i;

	for (i = 0; parts[i] != NULL; i++) {
		if (i % 2 == 0)
			certauto__buffer_text_add(&path, parts[i]);
		else
			certauto__rest_segment(&path, parts[i]);
	}
	verdict = certauto__fe_call(job, x, service, method, certauto__buffer_text(&path), query);
	if (path.rc < 0)
		x->body.rc = path.rc; /* stops the sending */
	certauto__buffer_free(&path);
	return verdict;
}

void certauto__fe_body(certauto__json *w, certauto__exchange *x)
{
	certauto__json_start(w, &x->body, 0);
}

void certauto__fe_arg(certauto__buffer *query, const char *name, const char *value)
{
	certauto__buffer_printf(query, "%s%s=", query->len > 0 ? "&" : "", name);
	certauto__url_escape(query, value);
}

/* ---- pages ---- */

struct page {
	certauto__rest_row_cb cb;
	void *arg;
	size_t n;
	char *marker;
};

static int page_row(void *arg, const char *const *values)
{
	struct page *page = arg;

	page->n++;
	return page->cb(page->arg, values);
}

/* DNS tells the next page as a URL, ELB where it begins. */
static int marker_cb(void *arg, const certauto__json_value *value)
{
	const char *text = value->text;
	struct page *page = arg;
	size_t len;

	if (value->type != CERTAUTO__JSON_STRING)
		return 0;
	if (certauto__json_is(value, "links.next")) {
		if ((text = strstr(text, "marker=")) == NULL)
			return 0;
		text += strlen("marker=");
	} else if (!certauto__json_is(value, "page_info.next_marker")) {
		return 0;
	}
	len = strcspn(text, "&");
	if (len >= CERTAUTO__FE_ID)
		return 0;
	memcpy(page->marker, text, len);
	page->marker[len] = '\0';
	return 0;
}

/* An empty page is the last one, whatever it says. */
int certauto__fe_rows(const certauto__exchange *x, const char *list, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, char marker_out[CERTAUTO__FE_ID],
	certauto_error *err)
{
	struct page page = {.cb = cb, .arg = arg, .marker = marker_out};
	const char *data;
	size_t len;
	int rc;

	marker_out[0] = '\0';
	if ((rc = certauto__rest_rows_of(x, list, fields, page_row, &page, NULL, err)) < 0 ||
		page.n == 0)
		return rc;
	data = certauto__exchange_answer(x, &len);
	return certauto__json_read(certauto__buffer_text(&x->url), data, len,
		&certauto__json_limits_device, marker_cb, &page, err);
}

/* ---- what a refusal says ---- */

/* The members that codes and words are in, by service: DNS; ELB v3, IAM and the gateway; ELB v2.0;
 * Keystone, which has no codes but statuses. */
static const struct form {
	const char *code, *words;
} forms[] = {
	{"code", "message"},
	{"error_code", "error_msg"},
	{"NeutronError.type", "NeutronError.message"},
	{NULL, "error.message"},
};

struct refusal {
	char *code;
	const char *member; /* that the words are in */
};

static int refusal_cb(void *arg, const certauto__json_value *value)
{
	struct refusal *refusal = arg;
	size_t i;

	for (i = 0; value->type == CERTAUTO__JSON_STRING && i < sizeof(forms) / sizeof(*forms);
		i++) {
		if (certauto__json_is(value, forms[i].words))
			refusal->member = forms[i].words;
		else if (forms[i].code != NULL && certauto__json_is(value, forms[i].code) &&
			value->len < CERTAUTO__FE_CODE)
			memcpy(refusal->code, value->text, value->len + 1);
	}
	return 0;
}

static const char *refusal_read(const certauto__exchange *x, char code[CERTAUTO__FE_CODE])
{
	struct refusal refusal = {.code = code, .member = "message"};
	const char *data;
	size_t len;

	code[0] = '\0';
	data = certauto__exchange_answer(x, &len);
	if (x->rc == 0 && x->status >= 300 && len > 0)
		(void)certauto__json_read("refusal", data, len, &certauto__json_limits_device,
			refusal_cb, &refusal, NULL);
	return refusal.member;
}

const char *certauto__fe_code(const certauto__exchange *x, char out[CERTAUTO__FE_CODE])
{
	(void)refusal_read(x, out);
	return out;
}

int certauto__fe_says(const certauto__exchange *x, const char *text)
{
	char code[CERTAUTO__FE_CODE];
	certauto__buffer words;
	int says;

	certauto__rest_words(&words, x, refusal_read(x, code));
	says = x->status >= 300 && certauto__rest_has(certauto__buffer_text(&words), text);
	certauto__buffer_free(&words);
	return says;
}

/* codes: with a blank before and behind each. */
static int has_code(const certauto__exchange *x, const char *codes)
{
	char code[CERTAUTO__FE_CODE + 2] = " ";

	if (x->rc < 0 || *certauto__fe_code(x, code + 1) == '\0')
		return 0;
	memcpy(code + strlen(code), " ", 2);
	return strstr(codes, code) != NULL;
}

int certauto__fe_is_throttled(const certauto__exchange *x)
{
	return x->rc == 0 && (x->status == 429 || has_code(x, " DNS.0014 "));
}

int certauto__fe_is_full(const certauto__exchange *x)
{
	return has_code(x, " DNS.0403 ELB.8905 ELB.9807 ELB.5151 OverQuota ");
}

int certauto__fe_is_unknown(const certauto__exchange *x)
{
	return x->rc == 0 && (has_code(x, " APIGW.0101 APIG.0101 ") ||
		(x->status == 404 && !certauto__fe_says(x, "")));
}

int certauto__fe_is_busy(const certauto__exchange *x)
{
	if (x->rc < 0 || x->status < 300 || certauto__fe_is_full(x))
		return 0;
	return has_code(x, " DNS.0021 DNS.0209 DNS.0314 ") ||
		(x->status == 409 && !certauto__text_equal(x->method, "DELETE")) ||
		(x->status < 500 && certauto__fe_says(x, "PENDING_"));
}

int certauto__fe_is_taken(const certauto__exchange *x)
{
	return has_code(x, " DNS.0016 DNS.0312 ");
}

int certauto__fe_is_in_use(const certauto__exchange *x)
{
	return x->rc == 0 && x->status == 409 && certauto__text_equal(x->method, "DELETE") &&
		!certauto__fe_is_busy(x);
}

/* ---- what to do about it ---- */

static const char advice_login[] =
	"see that user and password are right and domain_name is the account's name, not the "
	"user's; a refused login is not tried again in this run, so that the user is not locked "
	"out";
static const char advice_key[] =
	"see that access_key and secret_key belong together and are not disabled, and that "
	"project_id is a project of that account; a refused key is not tried again in this run";
static const char advice_rights[] =
	"the user lacks a right: certauto target recipe writes the policy that has all it needs; "
	"certauto target test names those that it lacks, as far as that is seen without a change";
static const char advice_full[] =
	"remove what is not used any more, or ask the provider for a larger quota";
static const char advice_full_certs[] =
	"remove unused certificates, or set update=in-place, which needs no more of them";
static const char advice_unknown[] =
	"see that region, or iam_url, dns_url and elb_url, are right";
static const char advice_project[] =
	"see that project_id, or project, is one of the account domain_name, and of that region";
static const char advice_busy[] = "it is being changed by somebody else: run it again";
static const char advice_broken[] = "see the provider's status page, and run it again";

static int is_login(const certauto__exchange *x)
{
	return x->status == 401 || has_code(x, " ELB.1102 ELB.1103 ELB.1104 ELB.1105 ");
}

static int meaning_of(const certauto__exchange *x, const char **advice)
{
	*advice = NULL;
	if (x->status < 300)
		return CERTAUTO_EPROTO;
	if (certauto__fe_is_full(x)) {
		*advice = has_code(x, " DNS.0403 ") ? advice_full : advice_full_certs;
		return CERTAUTO_EREFUSED;
	}
	if (is_login(x)) {
		*advice = advice_login;
		return CERTAUTO_EAUTH;
	}
	if (certauto__fe_is_busy(x) || certauto__fe_is_throttled(x)) {
		*advice = advice_busy;
		return CERTAUTO_EBUSY;
	}
	if (x->status == 403 && !has_code(x, " DNS.0317 DNS.0318 ")) {
		*advice = advice_rights;
		return CERTAUTO_EPERM;
	}
	if (certauto__fe_says(x, "could not find project"))
		*advice = advice_project;
	else if (certauto__fe_is_unknown(x))
		*advice = advice_unknown;
	else if (x->status >= 500)
		*advice = advice_broken;
	return x->status == 404 ? CERTAUTO_ENOTFOUND : CERTAUTO_EREFUSED;
}

/* A signature is good for some minutes only, by the cloud's clock. */
static int advise_key(certauto_error *err, const certauto__exchange *x)
{
	const char *date = certauto__transfer_header(x->transfer, "Date", 0);
	int64_t theirs = date != NULL ? certauto__clock_parse_http(date) : -1, ahead;

	ahead = certauto__clock_now() - theirs;
	if (theirs < 0 || (ahead < SKEW_S && ahead > -SKEW_S))
		return certauto__error_advise(err, "%s", advice_key);
	return certauto__error_advise(err,
		"this machine's clock is %lld s %s the cloud's, and signatures hold for 900: set "
		"it, by NTP", (long long)(ahead > 0 ? ahead : -ahead),
		ahead > 0 ? "ahead of" : "behind");
}

/* The code in front of the words; support goes by it. */
static void words_of(certauto__buffer *out, const certauto__exchange *x)
{
	char code[CERTAUTO__FE_CODE];
	certauto__buffer words;

	certauto__rest_words(&words, x, refusal_read(x, code));
	certauto__buffer_printf(out, "%s%s%s", code, *code != '\0' && words.len > 0 ? ": " : "",
		certauto__buffer_text(&words));
	certauto__buffer_free(&words);
}

int certauto__fe_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing)
{
	int signs = certauto__option_text(target, "access_key") != NULL, rc;
	certauto__buffer words = CERTAUTO__BUFFER(8192);
	const char *advice;

	words.secret = 1;
	rc = meaning_of(x, &advice);
	words_of(&words, x);
	if (rc == CERTAUTO_EAUTH && signs)
		advice = NULL;
	rc = certauto__rest_tell(err, x, target, object, doing, rc, 0, &words, advice);
	if (rc == CERTAUTO_EAUTH && signs && x->rc == 0)
		(void)advise_key(err, x);
	certauto__buffer_free(&words);
	return rc;
}

certauto__verdict certauto__fe_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	certauto_error error = {0};

	certauto__fe_tell(&error, x, certauto__fe_target(job), object, doing);
	return certauto__fail_with(job, &error);
}

certauto__verdict certauto__fe_gone(certauto_job *job, certauto__exchange *x)
{
	if (x->rc == 0 && ((x->status >= 200 && x->status < 300) || x->status == 404))
		return CERTAUTO__NEXT;
	return certauto__fail_with(job, &x->error);
}
