/* SPDX-License-Identifier: Apache-2.0 */
/* The public API on a command line, for what no verb of the command shows:
 *   acme_driver SERVER CA-FILE STATE register
 *   acme_driver SERVER CA-FILE STATE issue FOLDER KEY-TYPE NAME...
 *   acme_driver SERVER CA-FILE STATE revoke CHAIN REASON [KEY]
 *   acme_driver SERVER CA-FILE STATE renewal CHAIN [TIMES]
 * STATE "-": no store. issue answers http-01 from FOLDER, and leaves chain.pem and key.pem there.
 * renewal prints a line for each time: start, end, when to ask again, explanation ("-": none).
 * Warnings and the error go to stderr; exit status 1 after an error. */
#include <certauto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX (1024 * 1024)
#define TIMEOUT_MS 30000

struct driver {
	certauto_context *cx;
	certauto_store *store;
	certauto_account *account;
	char **args;
	int n_args;
};

static int tell(const certauto_event *event, void *payload)
{
	(void)payload;
	if (certauto_event_type(event) == CERTAUTO_EVENT_WARNING)
		fprintf(stderr, "warning: %s: %s\n", certauto_event_object(event),
			certauto_event_text(event));
	return 0;
}

static int open_account(struct driver *driver, char **argv)
{
	int rc;

	if ((rc = certauto_context_new(&driver->cx)) < 0 ||
	    (rc = certauto_context_set_event_cb(driver->cx, tell, NULL, NULL)) < 0 ||
	    (rc = certauto_account_new(&driver->account, driver->cx, argv[1])) < 0 ||
	    (rc = certauto_account_set_ca_file(driver->account, argv[2])) < 0 ||
	    (rc = certauto_account_set_agree_tos(driver->account, 1)) < 0 ||
	    strcmp(argv[3], "-") == 0)
		return rc;
	if ((rc = certauto_store_new(&driver->store, driver->cx, "files")) < 0 ||
	    (rc = certauto_store_set(driver->store, "directory", argv[3])) < 0)
		return rc;
	return certauto_account_use_store(driver->account, driver->store);
}

static int save(const char *folder, const char *name, unsigned char *data, size_t len)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if ((file = fopen(path, "wb")) != NULL) {
		fwrite(data, 1, len, file);
		fclose(file);
	}
	certauto_mem_free(data);
	return file != NULL ? 0 : CERTAUTO_EIO;
}

static int load_chain(struct driver *driver, certauto_chain **out)
{
	unsigned char *data = malloc(PEM_MAX);
	FILE *file = fopen(driver->args[0], "rb");
	size_t len = 0;
	int rc;

	if (file != NULL && data != NULL)
		len = fread(data, 1, PEM_MAX, file);
	rc = certauto_chain_parse(out, driver->cx, data, len);
	if (file != NULL)
		fclose(file);
	free(data);
	return rc;
}

/* ---- verbs ---- */

static int run_register(struct driver *driver)
{
	int rc = certauto_account_register(driver->account, TIMEOUT_MS);

	if (rc == 0)
		printf("%s\n", certauto_account_url(driver->account));
	return rc;
}

static int run_issue(struct driver *driver)
{
	const char *folder = driver->args[0];
	certauto_target *target = NULL;
	certauto_key *key = NULL;
	certauto_csr *csr = NULL;
	certauto_order *order = NULL;
	certauto_chain *chain = NULL;
	unsigned char *pem = NULL;
	size_t len;
	int rc;

	if ((rc = certauto_target_new(&target, driver->cx, "files")) == 0 &&
	    (rc = certauto_target_set(target, "webroot", folder)) == 0 &&
	    (rc = certauto_target_set(target, "challenge_check", "no")) == 0 &&
	    (rc = certauto_key_new(&key, driver->cx, driver->args[1])) == 0 &&
	    (rc = certauto_csr_new(&csr, driver->cx, key, (const char *const *)driver->args + 2,
		     (size_t)driver->n_args - 2)) == 0 &&
	    (rc = certauto_order_new(&order, driver->account, csr)) == 0 &&
	    (rc = certauto_order_use(order, "http-01", target)) == 0 &&
	    (rc = certauto_order_run(order, TIMEOUT_MS)) == 0 &&
	    (rc = certauto_order_dup_chain(&chain, order)) == 0 &&
	    (rc = certauto_chain_format(&pem, &len, chain, CERTAUTO_CHAIN_FULL)) == 0 &&
	    (rc = save(folder, "chain.pem", pem, len)) == 0 &&
	    (rc = certauto_key_format(&pem, &len, key)) == 0 &&
	    (rc = save(folder, "key.pem", pem, len)) == 0)
		printf("%s\n", certauto_chain_serial(chain));
	certauto_chain_free(chain);
	certauto_order_free(order);
	certauto_csr_free(csr);
	certauto_key_free(key);
	certauto_target_free(target);
	return rc;
}

static int run_revoke(struct driver *driver)
{
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;
	int rc;

	if ((rc = load_chain(driver, &chain)) == 0 &&
	    (driver->n_args < 3 ||
		    (rc = certauto_key_load(&key, driver->cx, driver->args[2])) == 0))
		rc = certauto_account_revoke(
			driver->account, chain, key, atoi(driver->args[1]), TIMEOUT_MS);
	certauto_key_free(key);
	certauto_chain_free(chain);
	return rc;
}

static int run_renewal(struct driver *driver)
{
	const certauto_account *account = driver->account;
	int times = driver->n_args > 1 ? atoi(driver->args[1]) : 1, rc;
	certauto_chain *chain = NULL;
	const char *url;

	for (rc = load_chain(driver, &chain); rc == 0 && times > 0; times--) {
		if ((rc = certauto_account_fetch_renewal(driver->account, chain, TIMEOUT_MS)) < 0)
			break;
		url = certauto_account_renewal_explanation_url(account);
		printf("%lld %lld %lld %s\n", (long long)certauto_account_renewal_start_at(account),
			(long long)certauto_account_renewal_end_at(account),
			(long long)certauto_account_renewal_check_at(account),
			url != NULL ? url : "-");
	}
	certauto_chain_free(chain);
	return rc;
}

static const struct {
	const char *name;
	int n_args; /* at least */
	int (*run)(struct driver *driver);
} verbs[] = {
	{"register", 0, run_register},
	{"issue", 3, run_issue},
	{"revoke", 2, run_revoke},
	{"renewal", 1, run_renewal},
};

static void complain(const certauto_error *error)
{
	const char *advice = certauto_error_advice(error), *problem = certauto_error_problem(error);

	fprintf(stderr, "%s: %s\n", certauto_error_name(certauto_error_code(error)),
		error != NULL ? certauto_error_message(error) : "");
	if (advice != NULL)
		fprintf(stderr, "advice: %s\n", advice);
	if (problem != NULL)
		fprintf(stderr, "problem: %s, status %d\n", problem, certauto_error_status(error));
	if (certauto_error_retry_at(error) != 0)
		fprintf(stderr, "retry at: %lld\n", (long long)certauto_error_retry_at(error));
}

int main(int argc, char **argv)
{
	struct driver driver = {NULL, NULL, NULL, argv + 5, argc - 5};
	int rc = CERTAUTO_EINVAL;
	size_t i;

	for (i = 0; argc > 4 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, argv[4]) == 0 && driver.n_args >= verbs[i].n_args &&
		    (rc = open_account(&driver, argv)) == 0)
			rc = verbs[i].run(&driver);
	if (rc < 0)
		complain(certauto_context_error(driver.cx));
	certauto_account_free(driver.account);
	certauto_store_free(driver.store);
	certauto_context_free(driver.cx);
	return rc < 0;
}
