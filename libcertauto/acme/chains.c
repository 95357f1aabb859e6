/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate is fetched and accepted; of the chains a CA offers for it (RFC 8555 7.4.2) the
 * wanted one is taken. */
#include "acme/order.h"

#include <string.h>

#include "core/clock.h"
#include "crypto/pem.h"

#define CLOCK_WRONG_S 3600
#define CHAIN_CERTS_MAX 10
#define PREFERRED_MAX 256
#define ALTERNATES_MAX 5 /* that are fetched */
#define ALTERNATES_SEEN_MAX 16

/* ---- which one is wanted ---- */

static const char shortest[] = "shortest", by_digest[] = "sha256:", by_key[] = "keyid:";

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits of a number people copy from other programs: any case, colons between bytes. 0 when it is
 * none. */
static size_t hex_digits(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == ':' && n > 0 && n % 2 == 0)
			continue;
		if (hex_digit(*text) < 0)
			return 0;
		n++;
	}
	return n;
}

/* digits: as the library writes them, lower case without colons; NULL equals nothing. */
static int same_hex(const char *wanted, const char *digits)
{
	if (digits == NULL)
		return 0;
	for (; *wanted != '\0'; wanted++) {
		if (*wanted == ':')
			continue;
		if (*digits == '\0' || hex_digit(*wanted) != hex_digit(*digits++))
			return 0;
	}
	return *digits == '\0';
}

static int has_digest(const certauto__certs *certs, const char *wanted)
{
	size_t i;

	for (i = 0; i < certauto__certs_n(certs); i++)
		if (same_hex(wanted, certauto__certs_info(certs, i)->fingerprint))
			return 1;
	return 0;
}

static int has_key_id(const certauto__certs *certs, const char *wanted)
{
	const struct certauto__cert_info *info;
	size_t i;

	for (i = 0; i < certauto__certs_n(certs); i++) {
		info = certauto__certs_info(certs, i);
		if (same_hex(wanted, info->ski) || same_hex(wanted, info->aki))
			return 1;
	}
	return 0;
}

int certauto__chain_fits(const certauto__certs *certs, const char *preferred)
{
	const struct certauto__cert_info *top;

	if (certauto__text_equal(preferred, shortest))
		return certauto__certs_n(certs) == 1; /* there can be none that is shorter */
	if (certauto__text_starts(preferred, by_digest))
		return has_digest(certs, preferred + sizeof(by_digest) - 1);
	if (certauto__text_starts(preferred, by_key))
		return has_key_id(certs, preferred + sizeof(by_key) - 1);
	top = certauto__certs_info(certs, certauto__certs_n(certs) - 1);
	return certauto__text_equal(top->issuer_cn, preferred);
}

int certauto__chain_is_better(
	const certauto__certs *certs, const certauto__certs *than, const char *preferred)
{
	if (certauto__text_equal(preferred, shortest))
		return certauto__certs_n(certs) < certauto__certs_n(than);
	return certauto__chain_fits(certs, preferred);
}

int certauto__chain_is_compared(const char *preferred)
{
	return certauto__text_equal(preferred, shortest);
}

int certauto__preferred_chain_check(const char *preferred, certauto_error *err)
{
	const char *why = NULL;
	size_t n;

	if (*preferred == '\0' || strlen(preferred) > PREFERRED_MAX)
		why = "it must be 1 to 256 bytes long";
	if (certauto__text_starts(preferred, by_digest) &&
	    hex_digits(preferred + sizeof(by_digest) - 1) != 64)
		why = "\"sha256:\" is followed by 64 hexadecimal digits";
	if (certauto__text_starts(preferred, by_key)) {
		n = hex_digits(preferred + sizeof(by_key) - 1);
		if (n == 0 || n % 2 != 0)
			why = "\"keyid:\" is followed by hexadecimal digits, two for each byte";
	}
	if (why == NULL)
		return 0;
	certauto__error_set(
		err, CERTAUTO_EINVAL, NULL, "the preferred chain cannot be meant: %s", why);
	certauto__error_advise(err,
		"name the issuer of the topmost certificate, \"sha256:HEX\" of a certificate, "
		"\"keyid:HEX\", or \"shortest\"");
	return CERTAUTO_EINVAL;
}

/* ---- download ---- */

static certauto__verdict chain_fetch(certauto_job *job, certauto__exchange *x, const char *url)
{
	certauto__verdict verdict = certauto__acme_fetch(job, x, url);

	certauto__exchange_add_header(x, "Accept: application/pem-certificate-chain");
	x->max_answer = CERTAUTO__HTTP_ACME_CHAIN_MAX;
	return verdict;
}

certauto__verdict certauto__download_ask(certauto_job *job, certauto__exchange *x)
{
	return chain_fetch(job, x, certauto__fact(job, "certificate"));
}

/* A chain that is not what was asked for is kept for diagnosis, and not asked for again: the next
 * run orders anew. Unless it is our clock that is wrong: then the certificate may be good. */
static certauto__verdict download_rejected(
	certauto_job *job, const char *data, size_t len, certauto_error *err)
{
	certauto_order *order = certauto__job_env(job);
	int64_t ahead = certauto__acme_of(job)->clock_ahead_s;

	certauto__buffer_free(&order->rejected);
	certauto__buffer_init(&order->rejected, CERTAUTO__HTTP_ACME_CHAIN_MAX);
	(void)certauto__buffer_add(&order->rejected, data, len);
	if (ahead > CLOCK_WRONG_S || ahead < -CLOCK_WRONG_S)
		certauto__error_advise(err,
			"set the clock of this machine: it is %lld s %s that of the CA; "
			"the certificate is fetched again in the next run",
			(long long)(ahead < 0 ? -ahead : ahead), ahead < 0 ? "behind" : "ahead of");
	else
		certauto__order_forget(job);
	return certauto__fail_with(job, err);
}

/* Of the CA; without memory for it each chain is checked on its own. */
static struct certauto__verifier *verifier_of(const certauto_job *job)
{
	struct certauto__acme *acme = certauto__acme_of(job);

	if (acme->verifier == NULL)
		acme->verifier = certauto__verifier_new();
	return acme->verifier;
}

/* The chain of an answer, if it is what was asked for. */
static int chain_take(certauto_job *job, const certauto__exchange *x, certauto__certs **out,
	certauto_error *err)
{
	const certauto_order *order = certauto__job_env(job);
	certauto__certs *certs = NULL;
	const char *data;
	size_t len;
	int rc;

	if ((rc = certauto__acme_body(
		     x, "application/pem-certificate-chain", &data, &len, err)) < 0)
		return rc;
	/* DER would be read as well, where an administrator gives it. */
	if (len > 0 && !certauto__pem_is(data, len))
		rc = certauto__error_set(err, CERTAUTO_ECERT, NULL, "there is no PEM block in it");
	if (rc < 0 ||
	    (rc = certauto__certs_parse(&certs, data, len, CHAIN_CERTS_MAX, err)) < 0 ||
	    (rc = certauto__certs_check(certs, NULL, order->req, &order->names,
		     certauto__clock_now(), 0, verifier_of(job), err)) < 0) {
		certauto__certs_free(certs);
		certauto__error_prefix(err, "the CA's certificate is not accepted");
		return rc;
	}
	*out = certs;
	return 0;
}

/* Where the other chains are: only looked at when the first is not the wanted one. */
static int note_alternates(certauto_job *job, const certauto__exchange *x)
{
	const certauto_account *account = certauto__acme_of(job)->account;
	certauto__buffer url = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__list urls = {NULL, 0, 0};
	certauto_error err;
	size_t i;
	int rc = 0;

	memset(&err, 0, sizeof(err));
	for (i = 0; i < ALTERNATES_SEEN_MAX && urls.n < ALTERNATES_MAX && rc == 0; i++) {
		certauto__buffer_clear(&url);
		if (certauto__transfer_link(x->transfer, "alternate", i, &url) < 0)
			break;
		if (certauto__url_check(certauto__buffer_text(&url), account->server,
			    &account->allow_hosts, &err) < 0) {
			certauto__warn(job, account->server,
				"an alternate chain is passed over: %s",
				certauto_error_message(&err));
			certauto__error_clear(&err);
		} else if (!certauto__list_has(&urls, certauto__buffer_text(&url))) {
			rc = certauto__list_add_text(&urls, certauto__buffer_text(&url));
		}
	}
	if (rc == 0)
		rc = certauto__order_set_urls(job, ".alternates", &urls);
	certauto__list_free(&urls);
	certauto__buffer_free(&url);
	return rc;
}

certauto__verdict certauto__download_read(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);
	certauto__certs *certs = NULL;
	certauto_error err;
	const char *data;
	size_t len;
	int rc;

	memset(&err, 0, sizeof(err));
	if ((rc = chain_take(job, x, &certs, &err)) == CERTAUTO_ECERT) {
		data = certauto__exchange_answer(x, &len);
		return download_rejected(job, data, len, &err);
	}
	if (rc < 0)
		return certauto__fail_with(job, &err);
	certauto__certs_free(order->chain);
	order->chain = certs;
	if (order->preferred_chain != NULL && note_alternates(job, x) < 0)
		return certauto__fail(
			job, CERTAUTO_ENOMEM, NULL, "%s", certauto_error_text(CERTAUTO_ENOMEM));
	return CERTAUTO__NEXT;
}

/* ---- alternate chains ---- */

/* As many as are noted, until one is the wanted one. */
int certauto__alternates_each(certauto_job *job)
{
	const certauto_order *order = certauto__job_env(job);
	const char *urls = certauto__fact_own(job, ".alternates");
	int n = 0;

	if (urls == NULL || order->chain == NULL ||
	    certauto__chain_fits(order->chain, order->preferred_chain))
		return 0;
	for (; *urls != '\0'; urls++)
		n += *urls == '\n';
	return n;
}

certauto__verdict certauto__alternates_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__list urls = {NULL, 0, 0};
	certauto__verdict verdict;

	if (certauto__list_split(&urls, certauto__fact_own(job, ".alternates"), '\n') < 0)
		verdict = certauto__fail(
			job, CERTAUTO_ENOMEM, NULL, "%s", certauto_error_text(CERTAUTO_ENOMEM));
	else
		verdict = chain_fetch(job, x, urls.items[certauto__index(job)]);
	certauto__list_free(&urls);
	return verdict;
}

/* Whatever is wrong with it, there is a certificate already. */
certauto__verdict certauto__alternates_read(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);
	certauto__certs *certs = NULL, *worse;
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (x->error.code != 0)
		certauto__error_move(&err, &x->error);
	else
		(void)chain_take(job, x, &certs, &err);
	if (certs == NULL) {
		certauto__warn(job, order->names.items[0], "an alternate chain is passed over: %s",
			certauto_error_message(&err));
	} else if (certauto__chain_is_better(certs, order->chain, order->preferred_chain)) {
		worse = order->chain;
		order->chain = certs;
		certs = worse;
	}
	certauto__certs_free(certs);
	certauto__error_clear(&err);
	return CERTAUTO__NEXT;
}

certauto__verdict certauto__chain_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_order *order = certauto__job_env(job);

	(void)x;
	if (order->preferred_chain != NULL && order->chain != NULL &&
	    !certauto__chain_is_compared(order->preferred_chain) &&
	    !certauto__chain_fits(order->chain, order->preferred_chain))
		certauto__warn(job, order->names.items[0],
			"none of the CA's chains is the preferred one (\"%s\"): its first one is "
			"taken", order->preferred_chain);
	return CERTAUTO__NEXT;
}
