/* SPDX-License-Identifier: Apache-2.0 */
/* certauto csr, certauto self-signed: what needs no CA; and no network, but for targets that make a
 * key or get the certificate. */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adhoc.h"
#include "certs.h"
#include "output.h"
#include "results.h"
#include "shell.h"

#define DAYS 365
#define DAYS_MAX 36500

/* What both make, and from what. */
struct request {
	struct shell *shell;
	struct strings names;    /* each a copy of ours */
	struct text subject;
	certauto_key *key;
	certauto_csr *csr;
	int key_is_new;
};

static const char *value_of(const struct request *request, enum option_id id)
{
	return option_value(&request->shell->options, id);
}

static int is_forced(const struct request *request)
{
	return option_given(&request->shell->options, OPTION_FORCE);
}

static void request_free(struct request *request)
{
	certauto_csr_free(request->csr);
	certauto_key_free(request->key);
	while (request->names.n > 0)
		free((char *)request->names.items[--request->names.n]);
	free(request->names.items);
	text_free(&request->subject);
}

/* ---- names and subject ---- */

/* "DNS:host.example", "IP:192.0.2.1", or the name alone; several with commas, as openssl has it. */
static void add_sans(struct request *request, const char *san)
{
	size_t len;

	for (;; san += len + 1) {
		if (strncmp(san, "DNS:", 4) == 0)
			san += 4;
		else if (strncmp(san, "IP:", 3) == 0)
			san += 3;
		len = strcspn(san, ",");
		strings_add(&request->names, memory_copy(san, len));
		if (san[len] == '\0')
			return;
	}
}

static void add_names(struct request *request)
{
	const struct strings *domains = &request->shell->options.given[OPTION_DOMAIN];
	const struct strings *sans = &request->shell->options.given[OPTION_SAN];
	size_t i;

	for (i = 0; i < domains->n; i++)
		add_sans(request, domains->items[i]);
	for (i = 0; i < sans->n; i++)
		add_sans(request, sans->items[i]);
	/* Clients look at the alternative names only. */
	if (request->names.n == 0 && value_of(request, OPTION_CN) != NULL)
		add_sans(request, value_of(request, OPTION_CN));
}

/* Is there a CN in it? A comma in a value has a backslash in front. */
static int has_cn(const char *subject)
{
	int begins = 1;

	for (; subject != NULL && *subject != '\0'; subject++) {
		if (begins && strncmp(subject, "CN=", 3) == 0)
			return 1;
		begins = *subject == ',' || (begins && *subject == ' ');
		if (*subject == '\\' && subject[1] != '\0')
			subject++;
	}
	return 0;
}

/* --cn in front of --subject. */
static void add_subject(struct request *request)
{
	const char *cn = value_of(request, OPTION_CN), *subject = value_of(request, OPTION_SUBJECT);

	if (cn != NULL)
		text_add(&request->subject, "CN=");
	for (; cn != NULL && *cn != '\0'; cn++) {
		if (*cn == ',' || *cn == '\\')
			text_add(&request->subject, "\\");
		text_add_n(&request->subject, cn, 1);
	}
	if (subject != NULL)
		text_printf(
			&request->subject, "%s%s", request->subject.len > 0 ? ", " : "", subject);
}

/* ---- key ---- */

static int is_key_type(const char *text)
{
	static const char *const types[] = {
		"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(types[i], text) == 0)
			return 1;
	return 0;
}

static const char *key_type(const struct request *request)
{
	const char *key = value_of(request, OPTION_KEY);

	return key != NULL ? key : "ecdsa-p256";
}

/* --key TYPE makes one, which needs a place; --key FILE reads one. */
static int get_key(struct request *request)
{
	const char *key = key_type(request), *key_out = value_of(request, OPTION_KEY_OUT);
	struct shell *shell = request->shell;
	int rc;

	request->key_is_new = is_key_type(key);
	if (request->key_is_new && key_out == NULL)
		return say_usage(shell, "a new %s key needs a place: --key-out FILE", key);
	if (!request->key_is_new && key_out != NULL)
		return say_usage(shell,
			"--key-out is for a new key, and --key %s is a file; key types are "
			"ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096",
			key);
	if (request->key_is_new)
		rc = certauto_key_new(&request->key, shell->cx, key);
	else
		rc = certauto_key_load(&request->key, shell->cx, key);
	if (rc == 0)
		return STATUS_DONE;
	(void)say_failure(shell, rc);
	/* A file that cannot be used is a mistake of whoever named it. */
	return request->key_is_new ? STATUS_FAILED : STATUS_USAGE;
}

static int write_key(const struct request *request)
{
	unsigned char *pem = NULL;
	size_t len = 0;
	int rc, status = STATUS_DONE;

	if (!request->key_is_new)
		return STATUS_DONE;
	if ((rc = certauto_key_format(&pem, &len, request->key)) < 0)
		return say_failure(request->shell, rc);
	if (output_write(value_of(request, OPTION_KEY_OUT), pem, len, 0600, is_forced(request)) < 0)
		status = STATUS_FAILED;
	certauto_mem_free(pem);
	return status;
}

/* ---- both verbs ---- */

static int check_options(const struct request *request)
{
	const struct options *options = &request->shell->options;
	const char *out = value_of(request, OPTION_OUT),
		   *key_out = value_of(request, OPTION_KEY_OUT);

	if (request->names.n == 0)
		return say_usage(request->shell, "it needs a name: %s",
			request->shell->verb->run == run_csr ? "--domain NAME"
							     : "--cn NAME or --san NAME");
	if (options->given[OPTION_KEY].n > 1)
		return say_usage(request->shell, "--key is given twice");
	if (value_of(request, OPTION_CN) != NULL && has_cn(value_of(request, OPTION_SUBJECT)))
		return say_usage(request->shell, "--cn and CN= in --subject exclude each other");
	if (request->shell->json && out == NULL)
		return say_usage(request->shell,
			"--json needs --out FILE: both would go to standard output");
	if (out != NULL && key_out != NULL && strcmp(out, key_out) == 0)
		return say_usage(request->shell, "--out and --key-out are the same file");
	if (output_check(out, is_forced(request)) < 0 ||
	    output_check(key_out, is_forced(request)) < 0)
		return STATUS_FAILED;
	return STATUS_DONE;
}

static int make_request(struct request *request)
{
	struct shell *shell = request->shell;
	int rc, status;

	add_names(request);
	add_subject(request);
	if ((status = check_options(request)) != STATUS_DONE ||
	    (status = shell_open(shell)) != STATUS_DONE ||
	    (status = get_key(request)) != STATUS_DONE)
		return status;
	rc = certauto_csr_new_subject(&request->csr, shell->cx, request->key,
		text_of(&request->subject), (const char *const *)request->names.items,
		request->names.n);
	return rc == 0 ? STATUS_DONE : say_failure(shell, rc);
}

static int write_result(const struct request *request, const unsigned char *pem, size_t len)
{
	const char *path = value_of(request, OPTION_OUT);
	struct text text = {0};

	if (path != NULL)
		return output_write(path, pem, len, 0644, is_forced(request)) < 0 ? STATUS_FAILED
										 : STATUS_DONE;
	text_add_n(&text, (const char *)pem, len);
	say(&text);
	text_free(&text);
	return STATUS_DONE;
}

/* The key first: a certificate without its key is of no use to anybody. */
static int write_both(const struct request *request, struct results *results,
	const unsigned char *pem, size_t len)
{
	int status;

	if ((status = write_key(request)) != STATUS_DONE ||
	    (status = write_result(request, pem, len)) != STATUS_DONE)
		return status;
	results_add(results, request->shell, request->names.items[0],
		request->key != NULL ? certauto_key_type(request->key) : key_type(request), 0);
	return STATUS_DONE;
}

/* Standard output has what was made; else it has the results. */
static int say_results(const struct request *request, struct results *results)
{
	if (value_of(request, OPTION_OUT) != NULL)
		return results_say_own(request->shell, results);
	text_free(&results->json);
	return STATUS_DONE;
}

/* ---- csr by a target ---- */

static int check_target_options(const struct request *request)
{
	static const enum option_id others[] = {OPTION_KEY_OUT, OPTION_SUBJECT};
	const struct options *options = &request->shell->options;
	size_t i;

	if (options->given[OPTION_TARGET].n > 1)
		return say_usage(request->shell, "--target is given twice");
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (option_given(options, others[i]))
			return say_usage(request->shell,
				"--target makes the key and keeps it: --%s has no use",
				option_rows[others[i]].name);
	if (!is_key_type(key_type(request)))
		return say_usage(request->shell,
			"with --target the key is made there: --key takes its type, not \"%s\"",
			key_type(request));
	return check_options(request);
}

static int request_from(struct request *request, certauto_target *target)
{
	struct shell *shell = request->shell;
	const char *given = value_of(request, OPTION_NAME);
	certauto_job *job = NULL;
	struct text name = {0};
	int rc;

	if (given != NULL)
		text_add(&name, given);
	else
		adhoc_add_name(&name, request->names.items[0]);
	if ((rc = certauto_target_start_make_csr(&job, target, text_of(&name), key_type(request),
		     (const char *const *)request->names.items, request->names.n,
		     shell_timeout_ms(shell))) == 0 &&
		(rc = shell_finish(shell, job)) == 0)
		rc = certauto_target_dup_csr(&request->csr, target);
	text_free(&name);
	return rc == 0 ? STATUS_DONE : shell_status(say_failure(shell, rc));
}

static int make_on_target(struct request *request)
{
	struct shell *shell = request->shell;
	certauto_target *target = NULL;
	int status;

	add_names(request);
	if ((status = check_target_options(request)) != STATUS_DONE ||
	    (status = shell_open(shell)) != STATUS_DONE ||
	    (status = adhoc_target(shell, value_of(request, OPTION_TARGET), 0, &target)) !=
		    STATUS_DONE)
		return status;
	status = request_from(request, target);
	certauto_target_free(target);
	return status;
}

int run_csr(struct shell *shell)
{
	struct request request = {.shell = shell};
	int rc, status, by_target = option_given(&shell->options, OPTION_TARGET);
	struct results results = {0};
	unsigned char *pem = NULL;
	size_t len = 0;

	if (!by_target &&
	    (option_given(&shell->options, OPTION_NAME) ||
			option_given(&shell->options, OPTION_CONFIG)))
		return say_usage(shell, "--name and --config have a use with --target only");
	status = by_target ? make_on_target(&request) : make_request(&request);
	if (status == STATUS_DONE && (rc = certauto_csr_format(&pem, &len, request.csr)) < 0)
		status = say_failure(shell, rc);
	if (status == STATUS_DONE &&
	    (status = write_both(&request, &results, pem, len)) == STATUS_DONE)
		status = say_results(&request, &results);
	certauto_mem_free(pem);
	request_free(&request);
	return status;
}

/* A certificate that is to be used is one that is kept. */
static int check_uses(const struct shell *shell)
{
	static const enum option_id uses[] = {OPTION_TARGET, OPTION_VERIFY};
	const struct options *options = &shell->options;
	size_t i;

	for (i = 0; i < sizeof(uses) / sizeof(*uses); i++)
		if (option_given(options, uses[i]) && !option_given(options, OPTION_OUT))
			return say_usage(
				shell, "--%s needs --out FILE", option_rows[uses[i]].name);
	if (shell->json && option_given(options, OPTION_VERIFY))
		return say_usage(shell,
			"--verify is for people here; as JSON: certauto export --cert FILE "
			"--verify");
	if (option_given(options, OPTION_NAME) && !option_given(options, OPTION_TARGET))
		return say_usage(shell, "--name has a use with --target only");
	return STATUS_DONE;
}

static int get_days(const struct shell *shell, int *out)
{
	const char *days = option_value(&shell->options, OPTION_DAYS);

	*out = days != NULL ? atoi(days) : DAYS;
	if (days != NULL &&
	    (strlen(days) > 5 || days[strspn(days, "0123456789")] != '\0' || *out < 1 ||
			*out > DAYS_MAX))
		return say_usage(
			shell, "--days takes a number from 1 to %d, not \"%s\"", DAYS_MAX, days);
	return STATUS_DONE;
}

static int say_details(struct shell *shell, const certauto_chain *chain)
{
	struct text text = {0};
	struct json *details;

	if (!option_given(&shell->options, OPTION_VERIFY))
		return STATUS_DONE;
	if ((details = certs_details(shell, chain)) == NULL)
		return STATUS_FAILED;
	certs_describe(&text, details);
	say(&text);
	json_free(details);
	text_free(&text);
	return STATUS_DONE;
}

/* A mistake about the targets is told before there is a file. */
static int keep_and_deploy(struct request *request, certauto_chain *chain)
{
	struct shell *shell = request->shell;
	struct delivery delivery = {0};
	struct results results = {0};
	unsigned char *pem = NULL;
	size_t len = 0;
	int rc, status = delivery_open(&delivery, shell, chain);

	if (status == STATUS_DONE &&
	    (rc = certauto_chain_format(&pem, &len, chain, CERTAUTO_CHAIN_LEAF)) < 0)
		status = say_failure(shell, rc);
	if (status == STATUS_DONE &&
	    (status = write_both(request, &results, pem, len)) == STATUS_DONE &&
	    (status = say_details(shell, chain)) == STATUS_DONE) {
		delivery_run(&delivery, shell, &results, chain, request->key);
		status = say_results(request, &results);
	}
	certauto_mem_free(pem);
	delivery_free(&delivery);
	return status;
}

int run_self_signed(struct shell *shell)
{
	struct request request = {.shell = shell};
	certauto_chain *chain = NULL;
	int rc, days, status;

	if ((status = get_days(shell, &days)) != STATUS_DONE ||
	    (status = check_uses(shell)) != STATUS_DONE ||
	    (status = make_request(&request)) != STATUS_DONE)
		goto out;
	if ((rc = certauto_chain_new_self_signed(&chain, request.key, request.csr,
		     (int64_t)time(NULL) + (int64_t)days * 86400)) < 0)
		status = say_failure(shell, rc);
	else
		status = keep_and_deploy(&request, chain);
out:
	certauto_chain_free(chain);
	request_free(&request);
	return status;
}
