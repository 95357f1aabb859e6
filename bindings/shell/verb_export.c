/* SPDX-License-Identifier: Apache-2.0 */
/* certauto export: certificates for those who are to trust them, and what is in them. */

#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "input.h"
#include "output.h"
#include "results.h"
#include "shell.h"

#define BUNDLE_MAX (4 * 1024 * 1024)
#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
/* Properties of a tile of Ops Manager, as its API and om configure-product take them: the fields
 * "NSX Manager CA Cert" and "Disable SSL certificate verification" of Enterprise PKS. */
#define OPS_CERT ".properties.network_selector.nsx.nsx-t-ca-cert"
#define OPS_INSECURE ".properties.network_selector.nsx.nsx-t-insecure"

static int has(const struct shell *shell, enum option_id id)
{
	return option_given(&shell->options, id);
}

static int wants_root(const struct shell *shell)
{
	return has(shell, OPTION_ROOT) || has(shell, OPTION_OPS_MANAGER);
}

static const char *source(const struct shell *shell)
{
	const char *path = option_value(&shell->options, OPTION_CERT);

	return path != NULL ? path : shell->options.operands.items[0];
}

/* ---- which certificate ---- */

static int check_forms(const struct shell *shell)
{
	if (has(shell, OPTION_CERT) && shell->options.operands.n > 0)
		return say_usage(
			shell, "--cert FILE and the NAME of a certificate exclude each other");
	if (!has(shell, OPTION_CERT) && shell->options.operands.n == 0)
		return say_usage(shell, "export needs the NAME of a certificate in the "
			"configuration, or --cert FILE");
	if (shell->options.given[OPTION_KEY].n > 1)
		return say_usage(shell, "--key is given twice");
	if (has(shell, OPTION_KEY) && has(shell, OPTION_CERT))
		return say_usage(shell, "--key TYPE has a use with the NAME of a certificate only");
	if (has(shell, OPTION_CA_FILE) && !wants_root(shell))
		return say_usage(shell, "--ca-file is for --root, which may be in it");
	if (has(shell, OPTION_OPS_MANAGER) && has(shell, OPTION_VERIFY))
		return say_usage(shell, "--verify and --ops-manager exclude each other");
	if (shell->json && !has(shell, OPTION_OUT) && !has(shell, OPTION_VERIFY) &&
	    !has(shell, OPTION_OPS_MANAGER))
		return say_usage(shell,
			"--json needs --out FILE: both would go to standard output");
	return output_check(option_value(&shell->options, OPTION_OUT), has(shell, OPTION_FORCE)) < 0
		? STATUS_FAILED : STATUS_DONE;
}

/* The key types that a certificate of the configuration has, of which one is meant. */
static int key_of(const struct shell *shell, struct text *out)
{
	const char *given = option_value(&shell->options, OPTION_KEY), *name = source(shell);
	const struct json *certificate, *lineage;
	struct json *status;
	char *text = NULL;
	int n = 0, rc = certauto_fleet_dup_status(&text, shell->fleet, &name, 1);

	if (rc < 0)
		return say_failure(shell, rc);
	status = json_parse(text);
	certificate = json_first(json_get(status, "certificates"));
	lineage = json_first(json_get(certificate, "lineages"));
	for (; lineage != NULL; lineage = lineage->next) {
		text_printf(out, "%s%s", n++ > 0 ? ", " : "", json_text_or(lineage, "key", "?"));
		if (given != NULL && strcmp(given, json_text_or(lineage, "key", "?")) == 0)
			break;
	}
	json_free(status);
	certauto_mem_free(text);
	if (given != NULL && lineage == NULL)
		return say_usage(shell, "%s has no key %s; it has: %s", name, given, text_of(out));
	if (given == NULL && n > 1)
		return say_usage(
			shell, "%s has several keys: --key %s", name, text_of(out));
	if (given != NULL) {
		text_free(out);
		text_add(out, given);
	}
	return STATUS_DONE;
}

static int load_named(struct shell *shell, certauto_chain **out)
{
	certauto_store *store = NULL;
	certauto_key *key = NULL;
	struct text type = {0};
	int rc, status;

	if ((status = shell_open(shell)) != STATUS_DONE ||
	    (status = shell_open_file(shell)) != STATUS_DONE ||
	    (status = check_certificates(shell)) != STATUS_DONE ||
	    (status = key_of(shell, &type)) != STATUS_DONE)
		goto out;
	if ((rc = certauto_fleet_dup_store(&store, shell->fleet)) < 0 ||
	    (rc = certauto_store_load(&key, out, store, source(shell), text_of(&type),
		     shell_timeout_ms(shell))) < 0)
		status = say_failure(shell, rc);
out:
	certauto_key_free(key);
	certauto_store_free(store);
	text_free(&type);
	return status;
}

static int load(struct shell *shell, certauto_chain **out)
{
	int status;

	if (!has(shell, OPTION_CERT))
		return load_named(shell, out);
	status = shell_open(shell);
	return status == STATUS_DONE ? input_cert(shell, out, "cert", source(shell)) : status;
}

/* ---- its root ---- */

static const struct json *nth(const struct json *list, size_t n)
{
	const struct json *item = json_first(list);

	while (item != NULL && n-- > 0)
		item = item->next;
	return item;
}

/* PEM of the certificate that begins at or after *at, which is moved behind it. 1; 0: none. */
static int next_block(struct text *out, const char **at)
{
	const char *begin = strstr(*at, BEGIN), *end = begin != NULL ? strstr(begin, END) : NULL;

	text_free(out);
	if (end == NULL)
		return 0;
	*at = end + strlen(END);
	text_add_n(out, begin, (size_t)(*at - begin));
	text_add(out, "\n");
	return 1;
}

/* Is that one, behind the chain, the root of it? What cannot be read is not. */
static int is_root(struct shell *shell, const struct text *chain, const struct text *candidate)
{
	certauto_chain *longer = NULL;
	struct json *details = NULL;
	struct text text = {0};
	size_t n;
	int found = 0;

	text_add(&text, text_of(chain));
	text_add(&text, text_of(candidate));
	if (certauto_chain_parse(&longer, shell->cx, (const unsigned char *)text_of(&text),
		    text.len) == 0 &&
	    (details = certs_details(shell, longer)) != NULL) {
		n = certauto_chain_n_certs(longer);
		found = n > 1 && json_is_true(nth(details, n - 2), "signed_by_next") &&
			json_is_true(nth(details, n - 1), "self_signed");
	}
	json_free(details);
	certauto_chain_free(longer);
	text_free(&text);
	return found;
}

static int find_root(struct shell *shell, const struct text *chain, struct text *out)
{
	const char *path = option_value(&shell->options, OPTION_CA_FILE), *at;
	struct text bundle = {0};
	int status, found = 0;

	if ((status = input_read(shell, &bundle, "ca-file", path, BUNDLE_MAX)) != STATUS_DONE)
		return status;
	at = text_of(&bundle);
	while (!found && next_block(out, &at))
		found = is_root(shell, chain, out);
	text_free(&bundle);
	return found ? STATUS_DONE
		     : say_usage(shell, "--ca-file: the root of %s is not in %s", source(shell),
			path);
}

/* In place of the whole chain. */
static int take_root(struct shell *shell, certauto_chain *chain, struct text *pem)
{
	struct json *details = certs_details(shell, chain);
	const struct json *last = nth(details, certauto_chain_n_certs(chain) - 1);
	struct text root = {0};
	const char *at = text_of(pem);
	int status = STATUS_DONE;

	if (last == NULL)
		return STATUS_FAILED;
	if (json_is_true(last, "self_signed")) {
		struct text block = {0};

		while (next_block(&block, &at)) {
			text_free(&root);
			text_add(&root, text_of(&block));
		}
		text_free(&block);
	} else if (has(shell, OPTION_CA_FILE)) {
		status = find_root(shell, pem, &root);
	} else {
		status = say_usage(shell,
			"the chain of %s ends with a certificate that %s has issued, whose own is "
			"not in it: name a file that has it, --ca-file FILE", source(shell),
			json_text_or(last, "issuer", "?"));
	}
	text_free(pem);
	*pem = root;
	json_free(details);
	return status;
}

/* ---- out ---- */

static void add_ops_manager(struct text *out, const struct text *pem)
{
	text_add(out, "{\n  \"" OPS_CERT "\": {\"value\": ");
	text_add_json(out, text_of(pem));
	text_add(out, "},\n  \"" OPS_INSECURE "\": {\"value\": false}\n}\n");
}

static int say_details(struct shell *shell, const struct text *pem)
{
	certauto_chain *chain = NULL;
	struct json *details;
	struct text out = {0};
	char *text = NULL;
	int rc;

	if ((rc = certauto_chain_parse(&chain, shell->cx, (const unsigned char *)text_of(pem),
		     pem->len)) == 0)
		rc = certauto_chain_dup_details(&text, chain);
	certauto_chain_free(chain);
	if (rc < 0)
		return say_failure(shell, rc);
	if (shell->json) {
		text_printf(&out,
			"{\"version\":1,\"verb\":\"export\",\"certificates\":%s}\n", text);
	} else {
		details = json_parse(text);
		certs_describe(&out, details);
		json_free(details);
	}
	certauto_mem_free(text);
	say(&out);
	text_free(&out);
	return STATUS_DONE;
}

static int write_out(struct shell *shell, const struct text *what, const struct text *pem)
{
	const char *path = option_value(&shell->options, OPTION_OUT);
	struct results results = {0};

	if (path != NULL && output_write(path, text_of(what), what->len, 0644,
		    has(shell, OPTION_FORCE)) < 0)
		return STATUS_FAILED;
	if (has(shell, OPTION_VERIFY))
		return say_details(shell, pem);
	if (path == NULL) {
		say(what);
		return STATUS_DONE;
	}
	results_add(&results, shell, source(shell), NULL, 0);
	return results_say_own(shell, &results);
}

int run_export(struct shell *shell)
{
	certauto_chain *chain = NULL;
	unsigned char *data = NULL;
	struct text pem = {0}, json = {0};
	size_t len = 0;
	int rc, status;

	if ((status = check_forms(shell)) != STATUS_DONE ||
	    (status = load(shell, &chain)) != STATUS_DONE)
		goto out;
	if ((rc = certauto_chain_format(&data, &len, chain, CERTAUTO_CHAIN_FULL)) < 0) {
		status = say_failure(shell, rc);
		goto out;
	}
	text_add_n(&pem, (const char *)data, len);
	if (wants_root(shell) && (status = take_root(shell, chain, &pem)) != STATUS_DONE)
		goto out;
	if (has(shell, OPTION_OPS_MANAGER))
		add_ops_manager(&json, &pem);
	status = write_out(shell, json.len > 0 ? &json : &pem, &pem);
out:
	certauto_mem_free(data);
	certauto_chain_free(chain);
	text_free(&pem);
	text_free(&json);
	return status;
}
