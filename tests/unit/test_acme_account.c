/* SPDX-License-Identifier: Apache-2.0 */
/* What an account is configured with, and until when its CA is left alone. */

#include "unit_crypto.h"
#include "unit_store.h"

#include "acme/peer.h"

#define SERVER "https://ca.example/directory"
#define MAC "Q0FOQVJZLW1hYw" /* CANARY-mac */

struct unit {
	struct unit_store store;
	certauto_account *account;
	struct certauto__acme *acme;
	certauto_error err;
};

static int setup(void **state)
{
	struct unit *u = calloc(1, sizeof(*u));
	certauto__peer *peer = NULL;

	assert_non_null(u);
	unit_store_setup(&u->store);
	assert_int_equal(certauto__account_make(&u->account, u->store.cx, SERVER, NULL), 0);
	assert_int_equal(certauto_account_use_store(u->account, u->store.store), 0);
	assert_int_equal(certauto__account_peer(u->account, &peer, NULL), 0);
	u->acme = peer->state;
	certauto__peer_unref(peer);
	*state = u;
	return 0;
}

static int teardown(void **state)
{
	struct unit *u = *state;

	certauto__error_clear(&u->err);
	certauto_account_free(u->account);
	unit_store_teardown(&u->store);
	free(u);
	return 0;
}

/* ---- external account binding ---- */

static void refuse_eab(struct unit *u, const char *kid, const char *key, const char *what)
{
	int rc = certauto__account_set_eab(u->account, kid, key, strlen(key), &u->err);

	if (strlen(key) > 4)
		assert_null(strstr(certauto_error_message(&u->err), key));
	unit_refused(rc, &u->err, CERTAUTO_EINVAL, what);
}

static void test_eab__the_key_is_decoded_into_a_secret(void **state)
{
	static const char *const forms[] = {MAC, MAC "==", MAC "==\n", MAC "\r\n"};
	struct unit *u = *state;
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		assert_int_equal(certauto__account_set_eab(u->account, "kid-1", forms[i],
					 strlen(forms[i]), &u->err),
			0);
		assert_int_equal(certauto__secret_len(u->account->eab_key), 10);
		assert_memory_equal(
			certauto__secret_data(u->account->eab_key), "CANARY-mac", 10);
	}
	assert_string_equal(u->account->eab_kid, "kid-1");
}

static void test_eab__what_is_bad_is_refused_and_the_former_stays(void **state)
{
	struct unit *u = *state;
	char kid[1026];

	assert_int_equal(
		certauto__account_set_eab(u->account, "kid-1", MAC, strlen(MAC), &u->err), 0);
	refuse_eab(u, "kid-1", "", "empty");
	refuse_eab(u, "kid-1", "\n", "empty");
	refuse_eab(u, "kid-1", "====", "not base64url");
	refuse_eab(u, "kid-1", MAC "=", "not base64url");
	refuse_eab(u, "kid-1", MAC "===", "not base64url");
	refuse_eab(u, "kid-1", "with+slash/x", "not base64url");
	refuse_eab(u, "kid-1", " " MAC, "not base64url");
	refuse_eab(u, "kid-1", MAC "x", "not base64url");
	refuse_eab(u, "", MAC, "the kid");
	refuse_eab(u, "a b", MAC, "the kid");
	refuse_eab(u, "a\nb", MAC, "the kid");
	memset(kid, 'k', sizeof(kid) - 1);
	kid[sizeof(kid) - 1] = '\0';
	refuse_eab(u, kid, MAC, "the kid");
	assert_string_equal(u->account->eab_kid, "kid-1");
	assert_int_equal(certauto__secret_len(u->account->eab_key), 10);
}

static void test_eab__macs_are_three(void **state)
{
	static const char *const good[] = {"HS256", "HS384", "HS512"};
	static const char *const bad[] = {"", "none", "hs256", "HS1", "RS256", "HS2560"};
	struct unit *u = *state;
	size_t i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(
			certauto__account_set_eab_alg(u->account, good[i], &u->err), 0);
		assert_string_equal(u->account->eab_alg, good[i]);
	}
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		unit_refused(certauto__account_set_eab_alg(u->account, bad[i], &u->err), &u->err,
			CERTAUTO_EINVAL, "HS256, HS384 or HS512");
	}
	assert_string_equal(u->account->eab_alg, "HS512");
}

static int set_once(void *arg)
{
	certauto_account *account = arg;
	int rc;

	if ((rc = certauto__account_set_eab(account, "kid-1", MAC, strlen(MAC), NULL)) == 0 &&
	    (rc = certauto__account_set_key_type(account, "rsa-2048", NULL)) == 0)
		rc = certauto__account_allow_host(account, "ca.example", NULL);
	return rc;
}

static void test_account__setters_survive_want_of_memory(void **state)
{
	struct unit *u = *state;

	unit_oom_sweep("setters", set_once, u->account);
}

/* ---- hosts, key types, what is not given ---- */

static void test_account__hosts_are_hosts(void **state)
{
	static const char *const good[] = {"ca.example", "ca.example:8443", "[::1]:443"};
	static const char *const bad[] = {"", "https://ca.example", "ca.example/path",
		"u@ca.example", "ca example", "ca.example:0", "ca.example:65536", "ca.example?x",
		"ca.example#x",
		"ca.example\nX"};
	struct unit *u = *state;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(certauto_account_allow_host(u->account, good[i]), 0);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (certauto_account_allow_host(u->account, bad[i]) != CERTAUTO_EINVAL)
			fail_msg("taken: \"%s\"", bad[i]);
	assert_int_equal(u->account->allow_hosts.n, 3);
}

static void test_account__nothing_given_is_told(void **state)
{
	struct unit *u = *state;

	assert_int_equal(certauto_account_set_eab(u->account, NULL, NULL, 0), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_set_eab_alg(u->account, NULL), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_set_key_type(u->account, NULL), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_allow_host(u->account, NULL), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_set_eab_alg(NULL, "HS256"), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_start_fetch(NULL, u->account, 0), CERTAUTO_EINVAL);
	assert_int_equal(
		certauto_account_start_rotate_key(NULL, u->account, NULL, 0), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_fetch(NULL, 0), CERTAUTO_EINVAL);
	assert_int_equal(certauto_account_rotate_key(NULL, NULL, 0), CERTAUTO_EINVAL);
	assert_null(certauto_account_status(u->account));
	assert_null(certauto_account_contact(u->account, 0));
	assert_null(certauto_account_order(u->account, 0));
	assert_null(certauto_account_profile(u->account, 0));
	assert_int_equal(certauto_account_n_orders(NULL), 0);
}

static void test_account__the_key_type_is_one_of_those_there_are(void **state)
{
	struct unit *u = *state;

	assert_string_equal(certauto__account_key_type(u->account), "ecdsa-p256");
	assert_int_equal(certauto_account_set_key_type(u->account, "rsa-3072"), 0);
	assert_int_equal(
		certauto_account_set_key_type(u->account, "ed25519"), CERTAUTO_EINVAL);
	assert_string_equal(certauto__account_key_type(u->account), "rsa-3072");
}

/* ---- limits ---- */

static void keep_limits(struct unit *u, const char *text)
{
	assert_int_equal(u->store.store->row->account_limits_save(u->store.store, "default", SERVER,
				 text, strlen(text), &u->err),
		0);
}

static int limits_kept(struct unit *u)
{
	certauto__buffer text = CERTAUTO__BUFFER(4096);
	int rc = u->store.store->row->account_limits_load(
		u->store.store, "default", SERVER, &text, NULL);

	certauto__buffer_free(&text);
	return rc == 0;
}

static void keep_limit(struct unit *u, const char *scope, int64_t until)
{
	char text[256];

	snprintf(text, sizeof(text),
		"{\"version\":1,\"%s\":{\"until\":%lld,\"reason\":\"its words\","
		"\"problem\":\"x\"}}",
		scope, (long long)until);
	keep_limits(u, text);
}

static void test_limits__those_that_stand_are_taken_up(void **state)
{
	struct unit *u = *state;
	int64_t until = certauto__clock_now() + 100;

	keep_limit(u, "newAccount", until);
	assert_int_equal(certauto__acme_limits_load(u->acme, &u->err), 0);
	assert_true(u->acme->limits[CERTAUTO__LIMIT_ACCOUNTS].until == until);
	assert_string_equal(u->acme->limits[CERTAUTO__LIMIT_ACCOUNTS].reason, "its words");
	assert_true(u->acme->limits[CERTAUTO__LIMIT_SERVER].until == 0);
	/* What another process has learned since counts, what it has not does not go. */
	keep_limit(u, "server", until + 1);
	assert_int_equal(certauto__acme_limits_load(u->acme, &u->err), 0);
	assert_true(u->acme->limits[CERTAUTO__LIMIT_ACCOUNTS].until == until);
	assert_true(u->acme->limits[CERTAUTO__LIMIT_SERVER].until == until + 1);
	assert_true(limits_kept(u));
}

static void test_limits__those_that_have_passed_go(void **state)
{
	struct unit *u = *state;
	int64_t now = certauto__clock_now();

	keep_limit(u, "server", now - 1);
	assert_int_equal(certauto__acme_limits_load(u->acme, &u->err), 0);
	assert_true(u->acme->limits[CERTAUTO__LIMIT_SERVER].until == 0);
	assert_false(limits_kept(u));
	keep_limit(u, "server", now + CERTAUTO__RETRY_AFTER_MAX_S + 100);
	assert_int_equal(certauto__acme_limits_load(u->acme, &u->err), 0);
	assert_true(u->acme->limits[CERTAUTO__LIMIT_SERVER].until == 0);
	assert_false(limits_kept(u));
}

static void test_limits__nonsense_is_passed_over(void **state)
{
	static const char *const bad[] = {"{", "[]", "{\"server\":{\"until\":-1}}",
		"{\"server\":{\"until\":\"soon\"}}", "{\"server\":{\"reason\":5}}",
		"{\"server\":[5]}", "{\"other\":{\"until\":99}}", "\x01"};
	struct unit *u = *state;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		keep_limits(u, bad[i]);
		if (certauto__acme_limits_load(u->acme, &u->err) != 0 ||
		    u->acme->limits[CERTAUTO__LIMIT_SERVER].until != 0)
			fail_msg("taken: %s", bad[i]);
	}
}

static int load_limits_once(void *arg)
{
	struct unit *u = arg;

	certauto__limits_free(u->acme->limits);
	return certauto__acme_limits_load(u->acme, NULL);
}

static void test_limits__survive_want_of_memory(void **state)
{
	struct unit *u = *state;

	keep_limit(u, "server", certauto__clock_now() + 1000);
	unit_oom_sweep("limits", load_limits_once, u);
	assert_true(u->acme->limits[CERTAUTO__LIMIT_SERVER].until > 0);
	assert_true(limits_kept(u));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_eab__the_key_is_decoded_into_a_secret),
		TEST(test_eab__what_is_bad_is_refused_and_the_former_stays),
		TEST(test_eab__macs_are_three),
		TEST(test_account__setters_survive_want_of_memory),
		TEST(test_account__hosts_are_hosts),
		TEST(test_account__nothing_given_is_told),
		TEST(test_account__the_key_type_is_one_of_those_there_are),
		TEST(test_limits__those_that_stand_are_taken_up),
		TEST(test_limits__those_that_have_passed_go),
		TEST(test_limits__nonsense_is_passed_over),
		TEST(test_limits__survive_want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
