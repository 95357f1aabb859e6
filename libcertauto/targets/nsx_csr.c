/* SPDX-License-Identifier: Apache-2.0 */
/* A key that the managers make and keep, and the signing request for it. The request is an object
 * whose id the manager chooses, so that one whose answer was lost is found by its display name,
 * which is ours alone. The deployment finds the request by its key.
 *
 * Facts: "csr.name", its display name; "csr.id"; "csr", the request. */

#include "targets/nsx.h"

#include <stdlib.h>
#include <string.h>

#include <certauto/error.h>

#define CSRS "/api/v1/trust-management/csrs"
#define CSRS_EXTENDED "/api/v1/trust-management/csrs-extended"
#define PAGE "?page_size=1000"
#define NAME_RANDOM 6        /* bytes: the 12 digits of a name */
#define COMMON_NAME_MAX 64
#define LIST_MAX ((size_t)64 << 10)

static const certauto_target *target_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

/* ---- making it ---- */

/* By chance: nothing is known yet that it could be named after. Noted once. */
static int name_it(certauto_job *job)
{
	char digits[2 * NAME_RANDOM + 1];

	if (certauto__fact_own(job, "csr.name") != NULL)
		return 0;
	if (certauto__random_hex(digits, NAME_RANDOM, certauto__job_error_of(job)) < 0)
		return CERTAUTO_EIO;
	certauto__fact_printf(job, "csr.name", "%s-%.160s-%s-%s",
		certauto__option_text(target_of(job), "name_prefix"), certauto__fact(job, "name"),
		certauto__fact(job, "key"), digits);
	return 0;
}

/* 3.1.2 has requests with names besides the common one. */
static int has_names(const certauto_job *job)
{
	static const unsigned long least[] = {3, 1, 2};
	const char *at = certauto__nsx_version(job);
	char *end;
	size_t i;

	for (i = 0; *at != '\0' && i < sizeof(least) / sizeof(least[0]); i++) {
		unsigned long part = strtoul(at, &end, 10);

		if (part != least[i])
			return part > least[i];
		at = end + (*end == '.');
	}
	return i == 0 || i == 3;
}

static const char *common_name(const certauto__list *names)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (strlen(names->items[i]) <= COMMON_NAME_MAX)
			return names->items[i];
	return NULL;
}

static void put_subject(certauto__json *w, const char *cn)
{
	certauto__json_key(w, "subject");
	certauto__json_object(w);
	certauto__json_key(w, "attributes");
	certauto__json_array(w);
	certauto__json_object(w);
	certauto__json_put_text(w, "key", "CN");
	certauto__json_put_text(w, "value", cn);
	certauto__json_object_end(w);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
}

static void put_those(certauto__json *w, const char *member, const certauto__list *names, int is_ip)
{
	size_t i;

	certauto__json_key(w, member);
	certauto__json_array(w);
	for (i = 0; i < names->n; i++)
		if (certauto__ip_check(names->items[i]) == is_ip)
			certauto__json_text(w, names->items[i]);
	certauto__json_array_end(w);
}

static void put_names(certauto__json *w, const certauto__list *names)
{
	certauto__json_key(w, "extensions");
	certauto__json_object(w);
	certauto__json_key(w, "subject_alt_names");
	certauto__json_object(w);
	put_those(w, "dns_names", names, 0);
	put_those(w, "ip_addresses", names, 1);
	certauto__json_object_end(w);
	certauto__json_object_end(w);
}

static void put_request(certauto__json *w, const certauto_job *job, const certauto__list *names,
	const char *cn)
{
	const char *type = certauto__fact(job, "key");
	int is_rsa = certauto__text_starts(type, "rsa-");

	certauto__json_object(w);
	certauto__json_put_text(w, "display_name", certauto__fact_own(job, "csr.name"));
	put_subject(w, cn);
	certauto__json_put_text(w, "algorithm", is_rsa ? "RSA" : "EC");
	certauto__json_put_text(w, "key_size",
		type + (is_rsa ? strlen("rsa-") : strlen("ecdsa-p")));
	if (has_names(job))
		put_names(w, names);
	certauto__json_object_end(w);
}

static certauto__verdict make_send(certauto_job *job, certauto__exchange *x,
	const certauto__list *names)
{
	const certauto_target *target = target_of(job);
	const char *cn = common_name(names);
	certauto__json w;

	if (cn == NULL)
		return certauto__fail(job, CERTAUTO_EUNSUPPORTED, certauto__fact(job, "name"),
			"nsx: the managers want a common name, and no name of the certificate has "
			"at most 64 characters");
	if (!has_names(job) && (names->n > 1 || certauto__ip_check(cn)))
		return certauto__fail(job, CERTAUTO_EUNSUPPORTED, certauto__fact(job, "name"),
			"nsx: version %s makes requests for one DNS name only; 3.1.2 for several",
			certauto__nsx_version(job));
	certauto__nsx_call(x, target, "POST", has_names(job) ? CSRS_EXTENDED : CSRS);
	certauto__nsx_body(&w, x);
	put_request(&w, job, names, cn);
	return CERTAUTO__SEND;
}

static certauto__verdict make_ask(certauto_job *job, certauto__exchange *x)
{
	const char *list = certauto__fact(job, "names");
	certauto_error *err = certauto__job_error_of(job);
	certauto__list names = {0};
	certauto__verdict verdict = CERTAUTO__FAILED;

	if (certauto__target_able(target_of(job), CERTAUTO_TARGET_CSR, err) < 0 ||
		certauto__key_type_check(certauto__fact(job, "key"), err) < 0 || name_it(job) < 0)
		return CERTAUTO__FAILED;
	if (certauto__list_split(&names, list != NULL ? list : "", ',') < 0)
		certauto__error_nomem(err);
	else
		verdict = make_send(job, x, &names);
	certauto__list_free(&names);
	return verdict;
}

static certauto__verdict make_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error error = {0};

	if (x->rc == 0 && x->status < 300)
		return CERTAUTO__NEXT;
	/* The version is known since this call at the latest. */
	if (x->rc == 0 && !has_names(job) && certauto__step_attempts(job) == 1)
		return certauto__again(job, 0);
	certauto__nsx_tell(&error, x, target_of(job), certauto__fact_own(job, "csr.name"),
		"making the request");
	if (error.code == CERTAUTO_EREFUSED && certauto__text_starts(certauto__fact(job, "key"),
		"ecdsa-"))
		certauto__error_advise(&error,
			"many releases make RSA keys only: use the key type rsa-2048, or let "
			"certauto make the key");
	return certauto__fail_with(job, &error);
}

/* ---- finding it ---- */

struct search {
	certauto_job *job;
	certauto__list ids;
};

static certauto__verdict list_ask(certauto__exchange *x, const certauto_target *target)
{
	return certauto__nsx_call(x, target, "GET", CSRS PAGE);
}

static int search_row(void *arg, const char *const *values)
{
	struct search *search = arg;

	if (values[0] == NULL || values[1] == NULL || !certauto__text_equal(values[0],
		certauto__fact_own(search->job, "csr.name")))
		return 0;
	if (search->ids.n == 0)
		certauto__fact_set(search->job, ".csr.pem", values[2]);
	return certauto__list_add_text(&search->ids, values[1]);
}

/* ids: those of our name, what attempts with lost answers have left among them. */
static int search_read(certauto_job *job, const certauto__exchange *x, certauto__list *ids,
	certauto_error *err)
{
	static const char *const fields[] = {"display_name", "id", "pem_encoded", NULL};
	struct search search = {.job = job};
	int rc = certauto__nsx_rows(x, fields, search_row, &search, NULL, err);

	*ids = search.ids;
	return rc;
}

static certauto__verdict delete_ask(certauto__exchange *x, const certauto_target *target,
	const char *id)
{
	certauto__buffer path = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;

	certauto__buffer_text_add(&path, CSRS "/");
	certauto__rest_segment(&path, id);
	verdict = certauto__nsx_call(x, target, "DELETE", certauto__buffer_text(&path));
	if (path.rc < 0)
		x->url.rc = path.rc;
	certauto__buffer_free(&path);
	return verdict;
}

static certauto__verdict make_undo(certauto_job *job, certauto__exchange *x)
{
	const char *id = certauto__fact_own(job, ".csr.gone");

	if (certauto__fact_own(job, "csr.name") == NULL)
		return CERTAUTO__NEXT;
	return id != NULL ? delete_ask(x, target_of(job), id) : list_ask(x, target_of(job));
}

/* A look, then one after the other, until a look finds none. */
static certauto__verdict make_undo_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error error = {0};
	certauto__list ids = {0};
	int rc;

	if (certauto__fact_own(job, ".csr.gone") != NULL) {
		certauto__fact_set(job, ".csr.gone", NULL);
		return certauto__nsx_gone(job, x) == CERTAUTO__NEXT ? certauto__again(job, 0)
								    : CERTAUTO__FAILED;
	}
	if (certauto__nsx_is_no(x))
		return certauto__fail_with(job, &x->error);
	rc = search_read(job, x, &ids, &error);
	if (rc == 0 && ids.n > 0)
		certauto__fact_set(job, ".csr.gone", ids.items[0]);
	certauto__list_free(&ids);
	if (rc < 0)
		return certauto__fail_with(job, &error);
	return certauto__fact_own(job, ".csr.gone") != NULL ? certauto__again(job, 0)
							    : CERTAUTO__NEXT;
}

static certauto__verdict fetch_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__planning(job) ? CERTAUTO__NEXT /* it is not made */
				       : list_ask(x, target_of(job));
}

static int request_take(certauto_job *job, certauto_error *err)
{
	const char *text = certauto__fact_own(job, ".csr.pem");
	certauto__buffer pem = CERTAUTO__BUFFER(LIST_MAX);
	certauto__req *req = NULL;
	int rc;

	if (text == NULL)
		return certauto__error_set(err, CERTAUTO_EPROTO, certauto__fact(job, "name"),
			"nsx: the request that was made is not there");
	if ((rc = certauto__req_parse(&req, text, strlen(text), err)) < 0)
		return rc;
	if ((rc = certauto__req_format(&pem, req)) < 0)
		certauto__error_nomem(err);
	else
		certauto__fact_set(job, "csr", pem.data);
	certauto__req_free(req);
	certauto__buffer_free(&pem);
	return rc;
}

static certauto__verdict fetch_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error *err = certauto__job_error_of(job);
	certauto__list ids = {0};
	size_t i;
	int rc;

	if (certauto__nsx_is_no(x))
		return certauto__nsx_refused(job, x, certauto__fact_own(job, "csr.name"),
			"fetching the request");
	certauto__fact_set(job, ".csr.pem", NULL);
	if ((rc = search_read(job, x, &ids, err)) == 0 && (rc = request_take(job, err)) == 0) {
		certauto__fact_set(job, "csr.id", ids.items[0]);
		certauto__fact_set_number(job, ".csr.more", (int64_t)ids.n - 1);
		for (i = 1; i < ids.n; i++)
			certauto__fact_nth_set(job, ".csr.more", (int)i - 1, ids.items[i]);
	}
	certauto__list_free(&ids);
	return rc < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* ---- what attempts with lost answers have made besides ---- */

static int spare_each(certauto_job *job)
{
	return (int)certauto__fact_number(job, ".csr.more", 0);
}

static certauto__verdict spare_ask(certauto_job *job, certauto__exchange *x)
{
	const char *id = certauto__fact_nth(job, ".csr.more", certauto__index(job));

	return id == NULL ? CERTAUTO__NEXT : delete_ask(x, target_of(job), id);
}

static certauto__verdict spare_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__nsx_is_no(x) && !certauto__nsx_is_missing(x))
		return certauto__nsx_refused(job, x, certauto__fact_own(job, "csr.name"),
			"removing a request that was made twice");
	return CERTAUTO__NEXT;
}

static const struct certauto__step csr_steps[] = {
	{.name = "make", .ask = make_ask, .read = make_read, .undo = make_undo,
		.undo_read = make_undo_read, .flags = CERTAUTO__ERRORS},
	{.name = "fetch", .ask = fetch_ask, .read = fetch_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "spare", .ask = spare_ask, .read = spare_read, .each = spare_each,
		.flags = CERTAUTO__ERRORS},
};

const struct certauto__table certauto__nsx_csr = {
	.name = "nsx-csr",
	.steps = csr_steps,
	.n_steps = sizeof(csr_steps) / sizeof(csr_steps[0]),
};
