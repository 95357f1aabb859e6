/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of an order without a CA: its names, its wishes, which chain is the wanted one,
 * and that a thousand of them in line are no burden. */
#include "unit_crypto.h"

#include <malloc.h>
#include <poll.h>

#include <certauto.h>

#include "acme/order.h"
#include "crypto/objects.h"
#include "jobs/engine.h"

#define PATIENCE_MS 20000
#define MANY 1000
#define TURNS 16

/* ---- chains ---- */

static void check_fits(const char *pem, const char *preferred, int wanted)
{
	certauto__certs *certs = unit_certs(pem);

	if (certauto__chain_fits(certs, preferred) != wanted)
		fail_msg("\"%s\" %s", preferred, wanted ? "does not fit" : "fits");
	certauto__certs_free(certs);
}

static void test_chain__is_named_by_the_issuer_of_its_top(void **state)
{
	certauto__certs *certs = unit_certs(chain_good);
	size_t last = certauto__certs_n(certs) - 1;
	const char *top = certauto__certs_info(certs, last)->issuer_cn;

	(void)state;
	assert_true(last > 0);
	check_fits(chain_good, top, 1);
	check_fits(chain_good_with_root, top, 1); /* which has issued itself */
	check_fits(chain_good, certauto__certs_info(certs, 0)->issuer_cn, 0);
	check_fits(chain_good_alone, certauto__certs_info(certs, 0)->issuer_cn, 1);
	check_fits(chain_good, "nobody", 0);
	certauto__certs_free(certs);
}

/* As people copy it from other programs. */
static void colons(char *out, const char *prefix, const char *hex)
{
	size_t i;

	out += sprintf(out, "%s", prefix);
	for (i = 0; hex[i] != '\0'; i++) {
		if (i > 0 && i % 2 == 0)
			*out++ = ':';
		*out++ = (char)(hex[i] >= 'a' ? hex[i] - 'a' + 'A' : hex[i]);
	}
	*out = '\0';
}

static void test_chain__is_named_by_the_digest_of_any_certificate(void **state)
{
	certauto__certs *certs = unit_certs(chain_good);
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < certauto__certs_n(certs); i++) {
		snprintf(text, sizeof(text), "sha256:%s",
			certauto__certs_info(certs, i)->fingerprint);
		check_fits(chain_good, text, 1);
		check_fits(chain_good_alone, text, i == 0);
		colons(text, "sha256:", certauto__certs_info(certs, i)->fingerprint);
		assert_int_equal(certauto__preferred_chain_check(text, NULL), 0);
		check_fits(chain_good, text, 1);
		text[strlen(text) - 3] = '\0';
		check_fits(chain_good, text, 0);
	}
	certauto__certs_free(certs);
}

static void test_chain__is_named_by_a_key_identifier(void **state)
{
	certauto__certs *certs = unit_certs(chain_good);
	const struct certauto__cert_info *leaf = certauto__certs_info(certs, 0);
	char text[256];

	(void)state;
	assert_non_null(leaf->aki);
	snprintf(text, sizeof(text), "keyid:%s", leaf->aki);
	assert_int_equal(certauto__preferred_chain_check(text, NULL), 0);
	check_fits(chain_good, text, 1);
	colons(text, "keyid:", leaf->aki);
	check_fits(chain_good, text, 1);
	check_fits(chain_good, "keyid:00112233", 0);
	certauto__certs_free(certs);
}

static void test_chain__shortest_compares(void **state)
{
	certauto__certs *one = unit_certs(chain_good_alone), *two = unit_certs(chain_good);
	certauto__certs *three = unit_certs(chain_good_with_root);

	(void)state;
	assert_true(certauto__chain_is_compared("shortest"));
	assert_false(certauto__chain_is_compared("Shortest Root"));
	assert_true(certauto__chain_is_better(two, three, "shortest"));
	assert_false(certauto__chain_is_better(three, two, "shortest"));
	assert_false(certauto__chain_is_better(two, two, "shortest"));
	assert_true(certauto__chain_fits(one, "shortest"));
	assert_false(certauto__chain_fits(two, "shortest"));
	certauto__certs_free(one);
	certauto__certs_free(two);
	certauto__certs_free(three);
}

static void test_chain__a_wish_that_is_none_is_told(void **state)
{
	static const char *const bad[] = {"", "sha256:", "sha256:12", "keyid:", "keyid:abc",
		"keyid:zz", "keyid:a:b",
		"sha256:gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg"};
	char text[300];
	certauto_error err;
	size_t i;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		unit_refused(certauto__preferred_chain_check(bad[i], &err), &err, CERTAUTO_EINVAL,
			"preferred chain");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	unit_refused(certauto__preferred_chain_check(text, &err), &err, CERTAUTO_EINVAL, "256");
	assert_int_equal(certauto__preferred_chain_check("ISRG Root X1", NULL), 0);
}

/* ---- names ---- */

static void check_names(const char *text, int code, const char *words)
{
	certauto__list names = unit_list(text);
	certauto_error err;
	int rc;

	memset(&err, 0, sizeof(err));
	rc = certauto__order_names_check(&names, &err);
	if (code < 0)
		unit_refused(rc, &err, code, words);
	else
		assert_int_equal(rc, 0);
	certauto__list_free(&names);
}

static void test_names__what_no_ca_takes_is_refused(void **state)
{
	char many[101 * 20] = "";
	int i;

	(void)state;
	check_names("", CERTAUTO_EINVAL, "no names");
	check_names("a.example,a.example", CERTAUTO_EINVAL, "twice");
	check_names("*.example.org,a.example.org", CERTAUTO_EINVAL, "covered by *.example.org");
	check_names("*.example.org,a.b.example.org,example.org", 0, NULL);
	check_names("*.a.example.org,*.example.org", 0, NULL);
	for (i = 0; i < 100; i++)
		sprintf(many + strlen(many), "%s%03d.example.org", i > 0 ? "," : "", i);
	check_names(many, 0, NULL);
	strcat(many, ",100.example.org");
	check_names(many, CERTAUTO_EINVAL, "101 names");
}

/* ---- orders ---- */

struct fixture {
	certauto_context *cx;
	certauto_account *account;
	certauto_csr *csr;
	certauto_target *target;
};

/* Nobody answers at that address. */
static int setup(void **state)
{
	static const char *const names[] = {"b.example.org", "a.example.org"};
	static struct fixture f;
	certauto_key *key;

	memset(&f, 0, sizeof(f));
	assert_int_equal(certauto_context_new(&f.cx), 0);
	assert_int_equal(certauto_account_new(&f.account, f.cx, "https://127.0.0.1:1/dir"), 0);
	assert_int_equal(certauto_key_new(&key, f.cx, "ecdsa-p256"), 0);
	assert_int_equal(certauto_account_set_key(f.account, key), 0);
	certauto_key_free(key);
	assert_int_equal(certauto_key_new(&key, f.cx, "ecdsa-p256"), 0);
	assert_int_equal(certauto_csr_new(&f.csr, f.cx, key, names, 2), 0);
	certauto_key_free(key);
	assert_int_equal(certauto_target_new(&f.target, f.cx, "files"), 0);
	assert_int_equal(certauto_target_set(f.target, "directory", "/nonexistent"), 0);
	assert_int_equal(certauto_target_set(f.target, "webroot", "/nonexistent"), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	certauto_target_free(f->target);
	certauto_csr_free(f->csr);
	certauto_account_free(f->account);
	certauto_context_free(f->cx);
	return 0;
}

static certauto_order *make(const struct fixture *f)
{
	certauto_order *order;

	assert_int_equal(certauto_order_new(&order, f->account, f->csr), 0);
	assert_int_equal(certauto_order_use(order, "http-01", f->target), 0);
	return order;
}

static void refusal(certauto_error *err, int code, const char *name, const char *kind)
{
	memset(err, 0, sizeof(*err));
	certauto__error_set(err, code, NULL, "refused");
	certauto__error_add_subproblem(err, name, kind, "because");
}

static void test_order__names_have_reasons_of_their_own(void **state)
{
	certauto_order *order = make(*state);
	certauto_error err;

	assert_int_equal(certauto_order_n_names(order), 2);
	assert_string_equal(certauto_order_name(order, 0), "a.example.org");
	assert_null(certauto_order_name(order, 2));
	assert_int_equal(certauto_order_name_status(order, 0), CERTAUTO_NAME_OPEN);
	assert_null(certauto_order_name_error(order, 0));
	refusal(&err, CERTAUTO_EREFUSED, "b.example.org", "urn:ietf:params:acme:error:caa");
	certauto__order_names_failed(order, &err);
	certauto__error_clear(&err);
	assert_int_equal(certauto_order_name_status(order, 0), CERTAUTO_NAME_OPEN);
	assert_int_equal(certauto_order_name_status(order, 1), CERTAUTO_NAME_INVALID);
	assert_int_equal(
		certauto_error_code(certauto_order_name_error(order, 1)), CERTAUTO_ECHALLENGE);
	assert_non_null(strstr(
		certauto_error_message(certauto_order_name_error(order, 1)), "because"));
	/* What the name's own authorization has told stands; a name of nobody is passed over. */
	refusal(&err, CERTAUTO_EREFUSED, "b.example.org", NULL);
	certauto__order_names_failed(order, &err);
	certauto__error_clear(&err);
	assert_int_equal(
		certauto_error_code(certauto_order_name_error(order, 1)), CERTAUTO_ECHALLENGE);
	certauto__order_name_set(order, "c.example.org", CERTAUTO_NAME_INVALID, NULL);
	certauto__order_names_valid(order);
	assert_int_equal(certauto_order_name_status(order, 1), CERTAUTO_NAME_VALID);
	assert_null(certauto_order_name_error(order, 1));
	certauto_order_free(order);
	assert_int_equal(certauto_order_n_names(NULL), 0);
	assert_null(certauto_order_name(NULL, 0));
	assert_null(certauto_order_name_error(NULL, 0));
}

static void test_order__wishes_are_checked(void **state)
{
	certauto_order *order = make(*state);
	char text[300];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(certauto_order_set_profile(order, "", 0), CERTAUTO_EINVAL);
	assert_int_equal(certauto_order_set_profile(order, text, 0), CERTAUTO_EINVAL);
	assert_int_equal(certauto_order_set_profile(order, "short", 1), 0);
	assert_string_equal(order->profile, "short");
	assert_int_equal(certauto_order_set_profile(order, NULL, 0), 0);
	assert_null(order->profile);
	assert_int_equal(certauto_order_set_preferred_chain(order, "sha256:1"), CERTAUTO_EINVAL);
	assert_int_equal(certauto_order_set_preferred_chain(order, "shortest"), 0);
	assert_int_equal(certauto_order_set_validity(order, 20, 10), CERTAUTO_EINVAL);
	assert_int_equal(certauto_order_set_validity(order, -1, 10), CERTAUTO_EINVAL);
	assert_int_equal(certauto_order_set_validity(order, 20, 0), 0);
	assert_int_equal(certauto_order_set_profile(NULL, "x", 0), CERTAUTO_EINVAL);
	certauto_order_free(order);
}

static void test_order__its_records_are_known_by_their_names(void **state)
{
	(void)state;
	assert_true(certauto__order_is_record("order-0123456789abcdef0123456789abcdef"));
	assert_false(certauto__order_is_record("order-0123456789abcdef0123456789abcdef0"));
	assert_false(certauto__order_is_record("order-0123456789abcdef0123456789abcde"));
	assert_false(certauto__order_is_record("order-ecdsa-p256"));
	assert_false(certauto__order_is_record("shop-ecdsa-p256"));
}

static void test_order__replaces_is_the_id_of_a_certificate(void **state)
{
	struct fixture *f = *state;
	certauto_order *order = make(f);
	certauto_chain *chain;

	assert_int_equal(certauto_chain_parse(&chain, f->cx, (const unsigned char *)chain_good,
				 strlen(chain_good)),
		0);
	assert_int_equal(certauto_order_set_replaces(order, chain), 0);
	assert_non_null(strchr(order->replaces, '.'));
	certauto_chain_free(chain);
	assert_int_equal(certauto_order_set_replaces(order, NULL), 0);
	assert_null(order->replaces);
	assert_int_equal(certauto_chain_parse(&chain, f->cx, (const unsigned char *)ca_root,
				 strlen(ca_root)),
		0);
	if (certauto__certs_info(chain->certs, 0)->aki == NULL) {
		assert_int_equal(certauto_order_set_replaces(order, chain), CERTAUTO_EINVAL);
		assert_int_equal(
			certauto_error_code(certauto_context_error(f->cx)), CERTAUTO_EINVAL);
	}
	certauto_chain_free(chain);
	certauto_order_free(order);
}

static void test_order__started_it_is_as_it_is(void **state)
{
	struct fixture *f = *state;
	certauto_order *order = make(f);
	certauto_job *job, *other;

	assert_int_equal(certauto_order_start(&job, order, 60000), 0);
	assert_int_equal(certauto_order_set_profile(order, "x", 0), CERTAUTO_EBUSY);
	assert_int_equal(certauto_order_set_preferred_chain(order, "x"), CERTAUTO_EBUSY);
	assert_int_equal(certauto_order_set_validity(order, 0, 0), CERTAUTO_EBUSY);
	assert_int_equal(certauto_order_set_replaces(order, NULL), CERTAUTO_EBUSY);
	assert_int_equal(certauto_order_start(&other, order, 60000), CERTAUTO_EINVAL);
	certauto_job_cancel(job);
	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	certauto_order_free(order);
}

/* ---- many ---- */

static size_t in_use(void)
{
	return mallinfo2().uordblks;
}

static size_t parked(const struct fixture *f)
{
	const certauto_job *job = f->account->peer->turn.first;
	size_t n = 0;

	for (; job != NULL; job = job->next_ready)
		n++;
	return n;
}

static void test_order__a_thousand_in_line_cost_next_to_nothing(void **state)
{
	struct fixture *f = *state;
	certauto_order *orders[MANY];
	certauto_job *jobs[MANY];
	struct pollfd fd = {.fd = certauto_context_fd(f->cx), .events = POLLIN};
	size_t before = in_use();
	int i, n = 0, cancelled = 0;

	for (i = 0; i < MANY; i++) {
		orders[i] = make(f);
		assert_int_equal(certauto_order_start(&jobs[i], orders[i], 60000), 0);
	}
	assert_true(certauto_context_run(f->cx, 0) >= 0);
	assert_int_equal(f->account->peer->turns, TURNS);
	assert_int_equal(parked(f), MANY - TURNS);
	assert_true((in_use() - before) / MANY < 16 * 1024);
	for (i = MANY / 2; i < MANY; i++)
		certauto_job_cancel(jobs[i]);
	while (n < MANY) {
		assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
		assert_true(certauto_context_run(f->cx, 0) >= 0);
		while (certauto_context_next_done(f->cx) != 0)
			n++;
	}
	for (i = 0; i < MANY; i++) {
		assert_true(certauto_job_result(jobs[i]) < 0);
		cancelled += certauto_job_result(jobs[i]) == CERTAUTO_ECANCELED;
		certauto_job_free(jobs[i]);
		certauto_order_free(orders[i]);
	}
	assert_int_equal(cancelled, MANY / 2);
	assert_int_equal(f->account->peer->turns, 0);
}

static int make_with_wishes(void *arg)
{
	const struct fixture *f = arg;
	certauto_order *order = NULL;
	certauto_error err;
	int rc;

	if ((rc = certauto_order_new(&order, f->account, f->csr)) < 0 ||
	    (rc = certauto_order_set_profile(order, "short", 1)) < 0 ||
	    (rc = certauto_order_set_preferred_chain(order, "Root")) < 0)
		goto out;
	refusal(&err, CERTAUTO_EREFUSED, "a.example.org", "urn:ietf:params:acme:error:caa");
	certauto__order_names_failed(order, &err); /* short of memory it tells less, no more */
	certauto__error_clear(&err);
out:
	certauto_order_free(order);
	return rc;
}

static void test_order__survives_want_of_memory(void **state)
{
	unit_oom_sweep("order", make_with_wishes, *state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain__is_named_by_the_issuer_of_its_top),
		cmocka_unit_test(test_chain__is_named_by_the_digest_of_any_certificate),
		cmocka_unit_test(test_chain__is_named_by_a_key_identifier),
		cmocka_unit_test(test_chain__shortest_compares),
		cmocka_unit_test(test_chain__a_wish_that_is_none_is_told),
		cmocka_unit_test(test_names__what_no_ca_takes_is_refused),
		TEST(test_order__names_have_reasons_of_their_own),
		TEST(test_order__wishes_are_checked),
		TEST(test_order__its_records_are_known_by_their_names),
		TEST(test_order__replaces_is_the_id_of_a_certificate),
		TEST(test_order__started_it_is_as_it_is),
		TEST(test_order__a_thousand_in_line_cost_next_to_nothing),
		TEST(test_order__survives_want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
