/* SPDX-License-Identifier: Apache-2.0 */
/* Renewal information (RFC 9773): when the CA would have a certificate renewed. What it says is
 * advice, kept for the one certificate it was given for; when that is really renewed, and how often
 * at most, is decided by the fleet. */
#include "acme/renewal.h"

#include <string.h>

#include "acme/peer.h"
#include "core/clock.h"
#include "core/memory.h"

#define MINUTE_S 60
#define DAY_S (24 * 60 * 60)
#define CHECK_S (6 * 60 * 60)      /* after an answer without Retry-After, and what is no answer */
#define CHECK_MAX_S (7 * DAY_S)    /* a rate limit may be that long */
#define BACKOFFS 9                 /* a minute doubled as often is beyond CHECK_S */

/* ---- what is known of a certificate ---- */

void certauto__renewal_free(struct certauto__renewal *renewal)
{
	certauto__free(renewal->id);
	certauto__free(renewal->explanation_url);
	memset(renewal, 0, sizeof(*renewal));
}

int certauto__renewal_copy(struct certauto__renewal *out, const struct certauto__renewal *renewal)
{
	struct certauto__renewal copy = *renewal;

	copy.id = certauto__strdup(renewal->id);
	copy.explanation_url = certauto__strdup(renewal->explanation_url);
	if ((renewal->id != NULL && copy.id == NULL) ||
	    (renewal->explanation_url != NULL && copy.explanation_url == NULL)) {
		certauto__renewal_free(&copy);
		return CERTAUTO_ENOMEM;
	}
	certauto__renewal_free(out);
	*out = copy;
	return 0;
}

/* What was said about another certificate does not hold for this one. */
static int renewal_bind(struct certauto__renewal *renewal, const char *id)
{
	if (certauto__text_equal(renewal->id, id))
		return 0;
	certauto__renewal_free(renewal);
	renewal->id = certauto__strdup(id);
	return renewal->id != NULL ? 0 : CERTAUTO_ENOMEM;
}

int certauto__renewal_is_due(
	const struct certauto__renewal *renewal, const char *id, int64_t not_after, int64_t now)
{
	if (now >= not_after)
		return 0;
	/* Later than any wait can be: our clock was ahead when it was written. */
	return !certauto__text_equal(renewal->id, id) || renewal->check_at <= now ||
		renewal->check_at > now + CHECK_MAX_S;
}

static int is_temporary(const certauto_error *error)
{
	switch (certauto_error_code(error)) {
	case CERTAUTO_ENET:
	case CERTAUTO_ETIMEDOUT:
	case CERTAUTO_ERETRY_LATER:
	case CERTAUTO_ECANCELED:
	case CERTAUTO_ENOMEM:
		return 1;
	default:
		return certauto_error_status(error) >= 500;
	}
}

void certauto__renewal_failed(struct certauto__renewal *renewal, const char *id,
	const certauto_error *error, int64_t now)
{
	int64_t retry_at = certauto_error_retry_at(error), wait = CHECK_S;

	(void)renewal_bind(renewal, id); /* short of memory: it counts as not asked yet */
	if (is_temporary(error) && renewal->failures >= 0 && renewal->failures < BACKOFFS)
		wait = (int64_t)MINUTE_S << renewal->failures;
	renewal->failures++;
	renewal->check_at = now + wait;
	if (retry_at > renewal->check_at)
		renewal->check_at = retry_at < now + CHECK_MAX_S ? retry_at : now + CHECK_MAX_S;
}

/* Uniform over the window, so that the CA's certificates do not all come back in one second. Of a
 * window that has passed any instant means now. The remainder's bias is nothing: a window has less
 * than 2^40 seconds. */
static int renewal_choose(struct certauto__renewal *renewal, certauto_error *err)
{
	uint64_t random;
	int rc;

	if ((rc = certauto__random(&random, sizeof(random), err)) == 0)
		renewal->at = renewal->start +
			(int64_t)(random % (uint64_t)(renewal->end - renewal->start));
	return rc;
}

static int64_t check_after(int64_t retry_after_s)
{
	if (retry_after_s < 0)
		return CHECK_S;
	if (retry_after_s < MINUTE_S)
		return MINUTE_S;
	return retry_after_s < DAY_S ? retry_after_s : DAY_S;
}

int certauto__renewal_take(struct certauto__renewal *renewal, const char *id,
	struct certauto__renewal_document *document, int64_t retry_after_s, int64_t now,
	certauto_error *err)
{
	int rc, is_new;

	if (renewal_bind(renewal, id) < 0)
		return certauto__error_nomem(err);
	/* Drawn once: a new draw at each look would end in the earliest of them. */
	if (renewal->at == 0 || renewal->start != document->start ||
	    renewal->end != document->end) {
		renewal->start = document->start;
		renewal->end = document->end;
		renewal->at = 0;
		if ((rc = renewal_choose(renewal, err)) < 0)
			return rc;
	}
	is_new = document->explanation_url != NULL &&
		!certauto__text_equal(renewal->explanation_url, document->explanation_url);
	certauto__free(renewal->explanation_url);
	renewal->explanation_url = document->explanation_url;
	document->explanation_url = NULL;
	renewal->failures = 0;
	renewal->check_at = now + check_after(retry_after_s);
	return is_new;
}

/* ---- how the CA calls the certificate ---- */

/* Hex of our own making, with a zero byte before it when `sign` asks for one. */
static int hex_bytes(certauto__buffer *out, const char *hex, int sign)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char byte;

	if (sign && strchr("89abcdef", hex[0]) != NULL)
		certauto__buffer_add(out, "", 1);
	for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
		byte = (unsigned char)((strchr(digits, hex[0]) - digits) << 4 |
			(strchr(digits, hex[1]) - digits));
		certauto__buffer_add(out, &byte, 1);
	}
	return out->rc;
}

int certauto__renewal_id(certauto__buffer *out, const certauto__certs *certs, certauto_error *err)
{
	const struct certauto__cert_info *leaf = certauto__certs_info(certs, 0);
	certauto__buffer aki = CERTAUTO__BUFFER(CERTAUTO__RENEWAL_ID_MAX);
	certauto__buffer serial = CERTAUTO__BUFFER(CERTAUTO__RENEWAL_ID_MAX);
	int rc;

	if (leaf->aki == NULL || leaf->aki[0] == '\0')
		return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, leaf->serial,
			"the certificate %s has no authority key identifier: its CA cannot be "
			"asked when to renew it",
			leaf->serial);
	/* The serial as the content of its INTEGER, with the sign byte that keeps it positive. */
	if ((rc = hex_bytes(&aki, leaf->aki, 0)) == 0 &&
	    (rc = hex_bytes(&serial, leaf->serial, 1)) == 0) {
		certauto__base64url_encode(out, aki.data, aki.len);
		certauto__buffer_add(out, ".", 1);
		rc = certauto__base64url_encode(out, serial.data, serial.len);
	}
	certauto__buffer_free(&aki);
	certauto__buffer_free(&serial);
	return certauto__error_set(err, rc, leaf->serial, "the certificate %s: %s", leaf->serial,
		certauto_error_text(rc));
}

/* ---- what the CA answers ---- */

void certauto__renewal_document_free(struct certauto__renewal_document *document)
{
	certauto__free(document->explanation_url);
	memset(document, 0, sizeof(*document));
}

static int take_time(const certauto__json_value *value, int64_t *out)
{
	if (value->type != CERTAUTO__JSON_STRING)
		return CERTAUTO_EPROTO;
	*out = certauto__clock_parse_rfc3339(value->text);
	return *out > 0 ? 0 : CERTAUTO_EPROTO;
}

/* For a person to open: what is not plainly a web page over https is not shown. It may lead
 * anywhere, and have a fragment. */
static int take_explanation(const certauto__json_value *value, char **out)
{
	certauto__buffer page = CERTAUTO__BUFFER(64 * 1024), shown = CERTAUTO__BUFFER(4096);
	int rc;

	if (value->type != CERTAUTO__JSON_STRING)
		return 0;
	if ((rc = certauto__buffer_add(&page, value->text, strcspn(value->text, "#"))) == 0 &&
	    certauto__url_check_configured(certauto__buffer_text(&page), 0, NULL) == 0 &&
	    (rc = certauto__text_escape(&shown, value->text, value->len)) == 0 &&
	    (*out = certauto__buffer_take(&shown)) == NULL)
		rc = CERTAUTO_ENOMEM;
	certauto__buffer_free(&page);
	certauto__buffer_free(&shown);
	return rc;
}

static int document_value(void *arg, const certauto__json_value *value)
{
	struct certauto__renewal_document *document = arg;

	if (certauto__json_is(value, "suggestedWindow.start"))
		return take_time(value, &document->start);
	if (certauto__json_is(value, "suggestedWindow.end"))
		return take_time(value, &document->end);
	if (certauto__json_is(value, "explanationURL"))
		return take_explanation(value, &document->explanation_url);
	return 0;
}

int certauto__renewal_document_parse(struct certauto__renewal_document *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	rc = certauto__json_read(origin->what, data, len, &certauto__json_limits_acme,
		document_value, out, err);
	if (rc == 0 && (out->start == 0 || out->end <= out->start))
		rc = certauto__error_set(err, CERTAUTO_EPROTO, origin->server,
			"%s has no suggested window that begins before it ends", origin->what);
	if (rc < 0)
		certauto__renewal_document_free(out);
	return rc;
}

/* ---- asking ---- */

/* A CA that does not say may learn to: it is asked again after a day. */
static int renewal_none(certauto_job *job, struct certauto__renewal_question *question)
{
	const char *server = certauto__acme_of(job)->account->server;

	certauto__renewal_free(&question->renewal);
	question->renewal.check_at = certauto__clock_now() + DAY_S;
	if ((question->renewal.id = certauto__strdup(question->id)) == NULL)
		return certauto__error_nomem(certauto__job_error_of(job));
	if (!question->required)
		return 0;
	return certauto__error_set(certauto__job_error_of(job), CERTAUTO_EUNSUPPORTED, server,
		"%s does not say when certificates should be renewed", server);
}

static certauto__verdict renewal_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__renewal_question *question = certauto__job_env(job);
	const char *base = certauto__acme_of(job)->directory.renewal_info;
	certauto__buffer url = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;
	int rc;

	if (certauto__clock_now() >= question->not_after)
		return CERTAUTO__NEXT;
	if (base == NULL)
		return renewal_none(job, question) < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
	rc = certauto__buffer_printf(&url, "%s%s%s", base,
		base[strlen(base) - 1] == '/' ? "" : "/", question->id);
	verdict = rc < 0 ? certauto__fail(job, rc, question->id, "renewal information of %s: %s",
				   question->id, certauto_error_text(rc))
			 : certauto__acme_read(job, x, CERTAUTO__HTTP_API, "GET", url.data);
	certauto__buffer_free(&url);
	return verdict;
}

static void renewal_explain(certauto_job *job, const struct certauto__renewal *renewal)
{
	char start[24], end[24];

	certauto__warn(job, renewal->id, "the CA suggests renewal between %s and %s: see %s",
		certauto__clock_format(start, sizeof(start), renewal->start),
		certauto__clock_format(end, sizeof(end), renewal->end), renewal->explanation_url);
}

static certauto__verdict renewal_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__renewal_question *question = certauto__job_env(job);
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__origin origin = certauto__acme_origin(
		job, x, "renewal information", &what);
	struct certauto__renewal_document document = {0, 0, NULL};
	certauto_error err;
	const char *data;
	size_t len;
	int rc;

	memset(&err, 0, sizeof(err));
	if ((rc = certauto__acme_body(x, "application/json", &data, &len, &err)) == 0 &&
	    (rc = certauto__renewal_document_parse(&document, &origin, data, len, &err)) == 0)
		rc = certauto__renewal_take(&question->renewal, question->id, &document,
			certauto__transfer_retry_after(x->transfer), certauto__clock_now(), &err);
	if (rc > 0)
		renewal_explain(job, &question->renewal);
	certauto__renewal_document_free(&document);
	certauto__buffer_free(&what);
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

static const struct certauto__step renewal_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "renewal", .ask = renewal_ask, .read = renewal_read, .flags = CERTAUTO__READS},
};

const struct certauto__table certauto__renewal_table = {
	.name = "renewal",
	.steps = renewal_steps,
	.n_steps = 2,
};
