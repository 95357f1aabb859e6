/* SPDX-License-Identifier: Apache-2.0 */
/* What certauto_chain_dup_details() tells. */

#include "unit_crypto.h"

#include <certauto.h>

struct fixture {
	certauto_context *cx;
	certauto_chain *chain;
};

static void open_chain(struct fixture *f, const char *pem)
{
	assert_int_equal(certauto_context_new(&f->cx), 0);
	assert_int_equal(certauto_chain_parse(&f->chain, f->cx, (const unsigned char *)pem,
				 strlen(pem)),
		0);
}

static void close_chain(struct fixture *f)
{
	certauto_chain_free(f->chain);
	certauto_context_free(f->cx);
}

static void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("%s is not in %s", part, text);
}

static void test_details__of_a_chain(void **state)
{
	static const char *const parts[] = {
		"[{\"subject\":\"CN=shop.example.org\"",
		"\"issuer\":\"CN=Test Intermediate, O=Example, C=XX\"",
		"\"serial\":\"87654321\",\"names\":[\"shop.example.org\",\"www.shop.example.org\"]",
		"\"ca\":false,\"key\":\"EC\",\"key_bits\":256,",
		"\"signature\":\"ECDSA with SHA256\"",
		"\"self_signed\":false,\"signed_by_next\":true}",
		"},{\"subject\":\"CN=Test Intermediate",
		"\"names\":[],", "\"ca\":true,", "\"self_signed\":false,\"signed_by_next\":null}]"};
	struct fixture f;
	char *text = NULL;
	size_t i;

	(void)state;
	open_chain(&f, chain_good);
	assert_int_equal(certauto_chain_dup_details(&text, f.chain), 0);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		assert_has(text, parts[i]);
	certauto_mem_free(text);
	close_chain(&f);
}

static void test_details__want_a_chain_and_a_place(void **state)
{
	struct fixture f;
	char *text = NULL;

	(void)state;
	open_chain(&f, chain_good);
	assert_int_equal(certauto_chain_dup_details(NULL, f.chain), CERTAUTO_EINVAL);
	assert_int_equal(certauto_chain_dup_details(&text, NULL), CERTAUTO_EINVAL);
	assert_null(text);
	close_chain(&f);
}

static int scenario_details(void *arg)
{
	struct fixture *f = arg;
	char *text = NULL;
	int rc = certauto_chain_dup_details(&text, f->chain);

	certauto_mem_free(text);
	return rc;
}

static void test_details__out_of_memory(void **state)
{
	struct fixture f;

	(void)state;
	open_chain(&f, chain_good);
	unit_oom_sweep("details", scenario_details, &f);
	close_chain(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_details__of_a_chain),
		cmocka_unit_test(test_details__want_a_chain_and_a_place),
		cmocka_unit_test(test_details__out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
