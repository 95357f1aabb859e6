/* SPDX-License-Identifier: Apache-2.0 */
/* One order, or many at a time, through the public API alone; test_order.py builds it and reads its
 * lines of JSON. Each argument is WORD=VALUE; set.OPTION=VALUE is for the target. Many are driven
 * by poll(2) on the one descriptor: nothing else wakes it. */
#include <certauto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 200

static int n_args;
static char **args;

static const char *arg(const char *word, const char *otherwise)
{
	size_t len = strlen(word);
	int i;

	for (i = 0; i < n_args; i++)
		if (strncmp(args[i], word, len) == 0 && args[i][len] == '=')
			return args[i] + len + 1;
	return otherwise;
}

static int number(const char *word)
{
	return atoi(arg(word, "0"));
}

static void put(const char *key, const char *text)
{
	printf("\"%s\":", key);
	if (text == NULL) {
		printf("null,");
		return;
	}
	putchar('"');
	for (; *text != '\0'; text++)
		printf((unsigned char)*text < ' ' || *text == '"' || *text == '\\' ? "\\u%04x"
										  : "%c",
			(unsigned char)*text);
	printf("\",");
}

static int on_event(const certauto_event *event, void *payload)
{
	(void)payload;
	if (certauto_event_type(event) != CERTAUTO_EVENT_WARNING)
		return 0;
	printf("{");
	put("object", certauto_event_object(event));
	put("warning", certauto_event_text(event));
	printf("\"end\":0}\n");
	return 0;
}

static void put_error(const certauto_error *error)
{
	put("message", certauto_error_message(error));
	put("advice", certauto_error_advice(error));
	put("problem", certauto_error_problem(error));
	printf("\"http\":%d,\"retry_at\":%lld,", certauto_error_status(error),
		(long long)certauto_error_retry_at(error));
}

static void put_names(const certauto_order *order)
{
	const certauto_error *error;
	size_t i;

	printf("\"names\":{");
	for (i = 0; i < certauto_order_n_names(order); i++) {
		error = certauto_order_name_error(order, i);
		printf("%s\"%s\":{\"status\":%d,", i > 0 ? "," : "", certauto_order_name(order, i),
			certauto_order_name_status(order, i));
		put("code", error != NULL ? certauto_error_name(certauto_error_code(error)) : NULL);
		put_error(error);
		printf("\"end\":0}");
	}
	printf("},");
}

static void put_result(const certauto_order *order, int rc, const certauto_error *error)
{
	certauto_chain *chain = NULL;
	unsigned char *pem = NULL;
	size_t len;

	printf("{");
	put("code", certauto_error_name(rc));
	put_error(rc < 0 ? error : NULL);
	put("url", certauto_order_url(order));
	put_names(order);
	if (certauto_order_dup_chain(&chain, order) == 0 &&
	    certauto_chain_format(&pem, &len, chain, CERTAUTO_CHAIN_FULL) == 0)
		put("chain", (const char *)pem);
	certauto_mem_free(pem);
	certauto_chain_free(chain);
	printf("\"order\":%d}\n", certauto_order_status(order));
}

static size_t read_file(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t len;

	if (file == NULL)
		return 0;
	len = fread(out, 1, size, file);
	fclose(file);
	return len;
}

/* The same request in each run is the same order. */
static int make_csr(certauto_csr **out, certauto_context *cx, const char *const *names, size_t n)
{
	const char *path = arg("csr", NULL);
	static char kept[65536];
	size_t len = path != NULL ? read_file(path, kept, sizeof(kept)) : 0;
	certauto_key *key = NULL;
	unsigned char *pem = NULL;
	FILE *file;
	int rc;

	if (len > 0)
		return certauto_csr_parse(out, cx, (unsigned char *)kept, len);
	if ((rc = certauto_key_new(&key, cx, "ecdsa-p256")) == 0)
		rc = certauto_csr_new(out, cx, key, names, n);
	certauto_key_free(key);
	if (rc == 0 && path != NULL && certauto_csr_format(&pem, &len, *out) == 0 &&
	    (file = fopen(path, "w")) != NULL) {
		fwrite(pem, 1, len, file);
		fclose(file);
	}
	certauto_mem_free(pem);
	return rc;
}

static int set_replaces(certauto_order *order)
{
	certauto_context *cx = certauto_order_context(order);
	const char *path = arg("replaces", NULL);
	static char pem[65536];
	certauto_chain *chain = NULL;
	int rc;

	if (path == NULL)
		return 0;
	rc = certauto_chain_parse(
		&chain, cx, (unsigned char *)pem, read_file(path, pem, sizeof(pem)));
	if (rc == 0)
		rc = certauto_order_set_replaces(order, chain);
	certauto_chain_free(chain);
	return rc;
}

static int make_order(certauto_order **out, certauto_account *account, certauto_target *target,
	const char *const *names, size_t n)
{
	certauto_context *cx = certauto_account_context(account);
	certauto_csr *csr = NULL;
	int rc;

	if ((rc = make_csr(&csr, cx, names, n)) == 0 &&
	    (rc = certauto_order_new(out, account, csr)) == 0 &&
	    (rc = certauto_order_use_for(*out, arg("pattern", "*"), "http-01", target)) == 0 &&
	    (rc = certauto_order_set_profile(
		     *out, arg("profile", NULL), number("required"))) == 0 &&
	    (rc = certauto_order_set_preferred_chain(*out, arg("chain", NULL))) == 0 &&
	    (rc = certauto_order_set_validity(
		     *out, number("not_before"), number("not_after"))) == 0)
		rc = set_replaces(*out);
	certauto_csr_free(csr);
	return rc;
}

static int run_one(certauto_account *account, certauto_target *target)
{
	const char *names[NAMES_MAX];
	char *list = strdup(arg("names", "")), *name;
	certauto_order *order = NULL;
	size_t n = 0;
	int rc;

	for (name = strtok(list, ","); name != NULL && n < NAMES_MAX; name = strtok(NULL, ","))
		names[n++] = name;
	if ((rc = make_order(&order, account, target, names, n)) == 0)
		rc = certauto_order_run(order, number("timeout_ms") ? number("timeout_ms") : 30000);
	put_result(order, rc, certauto_context_error(certauto_account_context(account)));
	certauto_order_free(order);
	free(list);
	return rc;
}

/* n orders; every cancel-th is cancelled when `after` of them have ended. */
static int run_many(certauto_account *account, certauto_target *target, int n)
{
	certauto_context *cx = certauto_account_context(account);
	struct pollfd fd = {.fd = certauto_context_fd(cx), .events = POLLIN};
	certauto_order **orders = calloc((size_t)n, sizeof(certauto_order *));
	certauto_job **jobs = calloc((size_t)n, sizeof(certauto_job *));
	int i, rc = 0, done = 0, every = number("cancel"), after = number("after");
	char text[64];
	const char *name = text;

	for (i = 0; i < n && rc == 0; i++) {
		snprintf(text, sizeof(text), "n%d.example.org", i);
		if ((rc = make_order(&orders[i], account, target, &name, 1)) == 0)
			rc = certauto_order_start(&jobs[i], orders[i], 60000);
	}
	while (rc >= 0 && done < n) {
		if (poll(&fd, 1, 60000) != 1 || (rc = certauto_context_run(cx, 0)) < 0)
			break;
		while (certauto_context_next_done(cx) != 0)
			done++;
		for (i = 0; every > 0 && done >= after && i < n; i += every)
			certauto_job_cancel(jobs[i]);
		if (done >= after)
			every = 0;
	}
	for (i = 0; i < n; i++) {
		put_result(orders[i], certauto_job_result(jobs[i]), certauto_job_error(jobs[i]));
		certauto_job_free(jobs[i]);
		certauto_order_free(orders[i]);
	}
	free(orders);
	free(jobs);
	return done == n ? 0 : 1;
}

static int make_target(certauto_target **out, certauto_context *cx)
{
	char option[64];
	int i, rc;

	if ((rc = certauto_target_new(out, cx, arg("type", "files"))) < 0)
		return rc;
	for (i = 0; i < n_args && rc == 0; i++)
		if (sscanf(args[i], "set.%63[^=]=", option) == 1)
			rc = certauto_target_set(*out, option, strchr(args[i], '=') + 1);
	return rc;
}

int main(int argc, char **argv)
{
	certauto_context *cx = NULL;
	certauto_store *store = NULL;
	certauto_account *account = NULL;
	certauto_target *target = NULL;
	int rc, status = 1;

	n_args = argc;
	args = argv;
	if ((rc = certauto_context_new(&cx)) < 0 ||
	    (rc = certauto_context_set_event_cb(cx, on_event, NULL, NULL)) < 0 ||
	    (rc = certauto_store_new(&store, cx, "files")) < 0 ||
	    (rc = certauto_store_set(store, "directory", arg("state", ""))) < 0 ||
	    (rc = certauto_context_use_store(cx, store)) < 0 ||
	    (rc = certauto_account_new(&account, cx, arg("server", ""))) < 0 ||
	    (rc = certauto_account_set_ca_file(account, arg("ca", ""))) < 0 ||
	    (rc = certauto_account_use_store(account, store)) < 0 ||
	    (rc = certauto_account_set_agree_tos(account, 1)) < 0 ||
	    (rc = make_target(&target, cx)) < 0)
		fprintf(stderr, "%s\n", certauto_error_message(certauto_context_error(cx)));
	else if (number("n") > 0)
		status = run_many(account, target, number("n"));
	else
		status = run_one(account, target) < 0;
	certauto_target_free(target);
	certauto_account_free(account);
	certauto_store_free(store);
	certauto_context_free(cx);
	return rc < 0 ? 2 : status;
}
