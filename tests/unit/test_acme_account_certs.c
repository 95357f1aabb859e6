/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation and renewal information through the public API: what is refused before anything is
 * sent, what is kept, and that nothing is lost when memory is short. */

#include "unit_crypto.h"

#include <certauto/account.h>

#include "acme/acme.h"

#define SERVER "https://127.0.0.1:1/directory" /* nobody is there */
#define DAY 86400

struct world {
	certauto_context *cx;
	certauto_account *account;
	certauto_chain *chain;  /* of the key, by a CA, good for a day */
	certauto_key *key;
};

/* A leaf of the fixtures' CA: with an authority key identifier. */
static certauto__buffer make_chain(const char *key_pem)
{
	certauto__pkey *key = unit_key(key_pem), *ca_key = unit_key(ca_inter_key);
	certauto__list names = unit_list("a.example");
	certauto__buffer pem = CERTAUTO__BUFFER(64 * 1024);
	certauto__certs *ca = unit_certs(ca_inter), *certs = NULL;
	int64_t now = certauto__clock_now();
	certauto__req *req = NULL;

	assert_int_equal(certauto__req_new(&req, key, &names, NULL, NULL), 0);
	assert_int_equal(
		certauto__certs_signed(&certs, ca, ca_key, req, now - DAY, now + DAY, NULL), 0);
	assert_int_equal(certauto__certs_format(&pem, certs, CERTAUTO__PART_FULL), 0);
	certauto__certs_free(certs);
	certauto__certs_free(ca);
	certauto__req_free(req);
	certauto__list_free(&names);
	certauto__pkey_free(ca_key);
	certauto__pkey_free(key);
	return pem;
}

static certauto_chain *parse_chain(certauto_context *cx, const char *pem)
{
	certauto_chain *chain = NULL;

	assert_int_equal(
		certauto_chain_parse(&chain, cx, (const unsigned char *)pem, strlen(pem)), 0);
	return chain;
}

static certauto_key *parse_key(certauto_context *cx, const char *pem)
{
	certauto_key *key = NULL;

	assert_int_equal(
		certauto_key_parse(&key, cx, (const unsigned char *)pem, strlen(pem)), 0);
	return key;
}

static int open_world(void **state)
{
	static struct world world;
	certauto__buffer pem = make_chain(key_p256);

	assert_int_equal(certauto_context_new(&world.cx), 0);
	assert_int_equal(certauto_account_new(&world.account, world.cx, SERVER), 0);
	world.chain = parse_chain(world.cx, pem.data);
	world.key = parse_key(world.cx, key_p256);
	certauto__buffer_free(&pem);
	*state = &world;
	return 0;
}

static int close_world(void **state)
{
	struct world *world = *state;

	certauto_key_free(world->key);
	certauto_chain_free(world->chain);
	certauto_account_free(world->account);
	certauto_context_free(world->cx);
	return 0;
}

static void says(const certauto_context *cx, const char *words)
{
	const char *message = certauto_error_message(certauto_context_error(cx));

	if (strstr(message, words) == NULL)
		fail_msg("said \"%s\", wanted \"...%s...\"", message, words);
}

static void test_certs__arguments_are_checked(void **state)
{
	const struct world *world = *state;
	certauto_job *job = NULL;

	assert_int_equal(certauto_account_revoke(NULL, world->chain, NULL, 0, 0), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_fetch_renewal(NULL, world->chain, 0), CERTAUTO_EINVAL);
	assert_int_equal(
		certauto_account_revoke(world->account, NULL, NULL, 0, 0), CERTAUTO_EINVAL);
	says(world->cx, "chain must be given");
	assert_int_equal(
		certauto_account_fetch_renewal(world->account, NULL, 0), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_start_revoke(
				 NULL, world->account, world->chain, NULL, 0, 0),
		CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_start_fetch_renewal(&job, world->account, NULL, 0),
		CERTAUTO_EINVAL);
	assert_null(job);
	assert_int_equal(certauto_account_renewal_start_at(NULL), 0);
	assert_int_equal(certauto_account_renewal_end_at(NULL), 0);
	assert_int_equal(certauto_account_renewal_check_at(NULL), 0);
	assert_null(certauto_account_renewal_explanation_url(NULL));
}

static void test_certs__of_another_context_are_refused(void **state)
{
	const struct world *world = *state;
	certauto__buffer pem = make_chain(key_p256);
	certauto_context *cx = NULL;
	certauto_chain *chain;
	certauto_key *key;

	assert_int_equal(certauto_context_new(&cx), 0);
	chain = parse_chain(cx, pem.data);
	key = parse_key(cx, key_p256);
	assert_int_equal(
		certauto_account_revoke(world->account, chain, NULL, 0, 0), CERTAUTO_EINVAL);
	says(world->cx, "account and chain belong to two contexts");
	assert_int_equal(
		certauto_account_revoke(world->account, world->chain, key, 0, 0), CERTAUTO_EINVAL);
	says(world->cx, "account and key belong to two contexts");
	assert_int_equal(
		certauto_account_fetch_renewal(world->account, chain, 0), CERTAUTO_EINVAL);
	certauto_chain_free(chain);
	certauto_key_free(key);
	certauto_context_free(cx);
	certauto__buffer_free(&pem);
}

/* Nobody is at SERVER: it would have been ENET. */
static void test_revoke__what_cannot_be_is_not_sent(void **state)
{
	static const int reasons[] = {INT32_MIN, -1, 2, 6, 7, 8, 9, 10, 11, INT32_MAX};
	const struct world *world = *state;
	certauto_key *other = parse_key(world->cx, key_rsa2048);
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		assert_int_equal(certauto_account_revoke(world->account, world->chain, world->key,
					 reasons[i], -1),
			CERTAUTO_EINVAL);
		says(world->cx, "not a reason");
	}
	assert_int_equal(certauto_account_revoke(world->account, world->chain, other, 1, -1),
		CERTAUTO_EINVAL);
	says(world->cx, "not that of the certificate");
	certauto_key_free(other);
}

static void test_renewal__what_cannot_be_asked_about(void **state)
{
	const struct world *world = *state;
	certauto_chain *chain = parse_chain(world->cx, ca_root);

	/* A root names no authority: it is its own. */
	assert_int_equal(certauto_account_fetch_renewal(world->account, chain, -1),
		CERTAUTO_EUNSUPPORTED);
	says(world->cx, "no authority key identifier");
	certauto_chain_free(chain);
}

static void test_renewal__a_failure_tells_when_to_ask_again(void **state)
{
	const struct world *world = *state;
	int64_t before = certauto__clock_now(), at;

	assert_int_equal(
		certauto_account_fetch_renewal(world->account, world->chain, -1), CERTAUTO_ENET);
	at = certauto_account_renewal_check_at(world->account);
	assert_true(at >= before + 60 && at <= certauto__clock_now() + 60);
	assert_int_equal(certauto_account_renewal_start_at(world->account), 0);
	assert_int_equal(certauto_account_renewal_end_at(world->account), 0);
}

/* What is started shares what it needs: the caller may let go at once. */
static void test_certs__a_job_outlives_its_handles(void **state)
{
	certauto__buffer pem = make_chain(key_p256);
	const struct world *world = *state;
	certauto_account *account = NULL;
	certauto_job *revoke = NULL, *ask = NULL;
	certauto_chain *chain;
	certauto_key *key;

	assert_int_equal(certauto_account_new(&account, world->cx, SERVER), 0);
	chain = parse_chain(world->cx, pem.data);
	key = parse_key(world->cx, key_p256);
	assert_int_equal(certauto_account_start_revoke(&revoke, account, chain, key, 0, -1), 0);
	assert_int_equal(certauto_account_start_fetch_renewal(&ask, account, chain, -1), 0);
	certauto_account_free(account);
	certauto_chain_free(chain);
	certauto_key_free(key);
	certauto__buffer_free(&pem);
	assert_int_equal(certauto_job_wait(revoke, -1), CERTAUTO_ENET);
	assert_int_equal(certauto_job_wait(ask, -1), CERTAUTO_ENET);
	certauto_job_free(revoke);
	certauto_job_free(ask);
}

static int start_both(void *arg)
{
	const struct world *world = arg;
	certauto_job *revoke = NULL, *ask = NULL;
	int rc = certauto_account_start_revoke(
		&revoke, world->account, world->chain, world->key, 0, -1);

	if (rc == 0)
		rc = certauto_account_start_fetch_renewal(&ask, world->account, world->chain, -1);
	certauto_job_free(revoke);
	certauto_job_free(ask);
	return rc;
}

static void test_certs__short_of_memory(void **state)
{
	unit_oom_sweep("start", start_both, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certs__arguments_are_checked),
		cmocka_unit_test(test_certs__of_another_context_are_refused),
		cmocka_unit_test(test_revoke__what_cannot_be_is_not_sent),
		cmocka_unit_test(test_renewal__what_cannot_be_asked_about),
		cmocka_unit_test(test_renewal__a_failure_tells_when_to_ask_again),
		cmocka_unit_test(test_certs__a_job_outlives_its_handles),
		cmocka_unit_test(test_certs__short_of_memory),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
