/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that mbedTLS asks for. It takes all of it from calloc(), which this program puts its own
 * in front of; a sanitizer does the same, so there each act is done once and nothing is swept. */

#include "unit_crypto.h"

#include <stdlib.h>

#define EACH 400  /* allocations that are refused one by one; of those behind them */
#define STRIDE 17 /* every so many, unless CERTAUTO_SWEEP=full */

static long n_left = -1; /* allocations until one fails; negative: never */
static int sticky;
static long n_live;      /* blocks that are not freed yet */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

#if !defined(SANITIZED) && defined(__GLIBC__)
#define SWEEPS 1

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);
extern void __libc_free(void *ptr);

void *malloc(size_t size)
{
	n_live++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	if (n_left == 0) {
		if (!sticky)
			n_left = -1;
		return NULL;
	}
	if (n_left > 0)
		n_left--;
	n_live++;
	return __libc_calloc(n, size);
}

void *realloc(void *ptr, size_t size)
{
	n_live += ptr == NULL;
	return __libc_realloc(ptr, size);
}

void free(void *ptr)
{
	n_live -= ptr != NULL;
	__libc_free(ptr);
}
#else
#define SWEEPS 0
#endif

struct scene {
	certauto__pkey *key;
	certauto__req *req;
	certauto__certs *ca;
	certauto__pkey *ca_key;
	certauto__list names;
};

static int make_key(struct scene *s)
{
	certauto__secret *pem = NULL;
	certauto__pkey *key = NULL;
	int rc;

	(void)s;
	if ((rc = certauto__pkey_new(&key, "ecdsa-p256", NULL)) == 0)
		rc = certauto__pkey_format(&pem, key, NULL);
	certauto__secret_free(pem);
	certauto__pkey_free(key);
	return rc;
}

static int parse_key(struct scene *s)
{
	certauto__pkey *key = NULL;
	int rc = certauto__pkey_parse(&key, key_rsa2048, strlen(key_rsa2048), NULL);

	(void)s;
	certauto__pkey_free(key);
	return rc;
}

static int sign(struct scene *s)
{
	certauto__buffer sig = CERTAUTO__BUFFER(1024);
	int rc = certauto__pkey_jws_sign(&sig, s->key, "data", 4, NULL);

	certauto__buffer_free(&sig);
	return rc;
}

static int parse_request(struct scene *s)
{
	certauto__req *req = NULL;
	int rc = certauto__req_parse(&req, csr_full, strlen(csr_full), NULL);

	(void)s;
	certauto__req_free(req);
	return rc;
}

static int check_with(struct scene *s, struct certauto__verifier *verifier)
{
	certauto__certs *certs = NULL;
	int rc = certauto__certs_parse(&certs, chain_good, strlen(chain_good), 0, NULL);

	if (rc == 0)
		rc = certauto__certs_check(certs, s->key, NULL, &s->names,
			certauto__clock_from_utc(2026, 6, 1, 0, 0, 0), 0, verifier, NULL);
	certauto__certs_free(certs);
	certauto__verifier_free(verifier);
	return rc;
}

static int parse_and_check(struct scene *s)
{
	return check_with(s, NULL);
}

static int parse_and_check_with_verifier(struct scene *s)
{
	return check_with(s, certauto__verifier_new());
}

static int make_certificate(struct scene *s)
{
	certauto__certs *certs = NULL;
	int rc = certauto__certs_signed(&certs, s->ca, s->ca_key, s->req, 1, 2, NULL);

	certauto__certs_free(certs);
	return rc;
}

/* mbedTLS takes some of its own failed allocations for something else: reading RSA it calls the key
 * damaged, and 2.28 goes on to sign without the generator it could not make, which then has bad
 * arguments. `or_code` is what such a call may return too: an error in any case, or 0 where there
 * is another way. */
static void sweep(const char *name, int (*act)(struct scene *), struct scene *s, int or_code)
{
	const char *how = getenv("CERTAUTO_SWEEP");
	int all = how != NULL && strcmp(how, "full") == 0;
	long n, live;
	int rc, reached;

	/* mbedTLS 2.28 keeps a table of the curve in a key that has signed: not a leak. */
	assert_int_equal(act(s), 0);
	for (sticky = 0; sticky <= 1; sticky++) {
		for (n = 0;; n += n < EACH || all ? 1 : STRIDE) {
			live = n_live;
			n_left = n;
			rc = act(s);
			reached = n_left == (sticky ? 0 : -1);
			n_left = -1;
			if (rc == 0 && (or_code != 0 || !reached))
				break;
			if (n_live != live)
				fail_msg("%s:%ld:%d: %ld blocks leaked", name, n, sticky,
					n_live - live);
			if (rc != CERTAUTO_ENOMEM && rc != or_code)
				fail_msg("%s:%ld:%d: returned %d", name, n, sticky, rc);
		}
		n_left = -1;
		assert_true(n > 0 || !SWEEPS);
	}
}

static void test_oom__each_allocation_of_mbedtls(void **state)
{
	struct scene s;

	(void)state;
	s.key = unit_key(key_p256);
	s.req = unit_req(csr_full);
	s.ca = unit_certs(ca_inter);
	s.ca_key = unit_key(ca_inter_key);
	s.names = unit_list("shop.example.org,www.shop.example.org");
	sweep("make_key", make_key, &s, CERTAUTO_ENOMEM);
	sweep("parse_key", parse_key, &s, CERTAUTO_EINVAL);
	sweep("sign", sign, &s, CERTAUTO_EINVAL);
	sweep("parse_request", parse_request, &s, CERTAUTO_ENOMEM);
	sweep("parse_and_check", parse_and_check, &s, CERTAUTO_ENOMEM);
	sweep("parse_and_check_with_verifier", parse_and_check_with_verifier, &s, 0);
	sweep("make_certificate", make_certificate, &s, CERTAUTO_EINVAL);
	certauto__pkey_free(s.key);
	certauto__req_free(s.req);
	certauto__certs_free(s.ca);
	certauto__pkey_free(s.ca_key);
	certauto__list_free(&s.names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oom__each_allocation_of_mbedtls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
