/* SPDX-License-Identifier: Apache-2.0 */
/* certauto hook: certauto as the hook of certbot, dehydrated, lego and acme.sh. Here is what each
 * of them hands over, in arguments and variables, and what it expects; hook_work.c does it. Nothing
 * goes to standard output, which some of them keep, or read. */

#include "hook.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_REQUEST "certauto.csr" /* in the folder of a certificate of dehydrated */

/* One operation of a client. */
struct operation {
	const char *name;
	const char *arguments; /* for the usage */
	size_t n;              /* that many arguments at least */
	int (*run)(struct hook *hook, const struct strings *args);
};

/* What a client understands: failed or not, or told wrongly. */
static int end(struct hook *hook, int status)
{
	hook_close(hook);
	return shell_status(status == STATUS_LATER ? STATUS_FAILED : status);
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? memory_copy(path, (size_t)(slash - path)) : NULL;
}

static const char *last_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* ---- certbot ----
 * certbot's using.rst, "Pre and Post Validation Hooks" and "Renewing certificates": nothing but
 * variables. A token is there for http-01 only. */

typedef int answer_fn(struct hook *hook, const char *challenge, const struct hook_answer *answers,
	size_t n);

static int certbot_answer(struct shell *shell, answer_fn *does)
{
	struct hook hook = {.shell = shell};
	struct hook_answer answer = {.name = hook_either("CERTBOT_IDENTIFIER", "CERTBOT_DOMAIN"),
		.token = hook_variable("CERTBOT_TOKEN"),
		.value = hook_variable("CERTBOT_VALIDATION")};
	int status;

	if (answer.name == NULL || answer.value == NULL)
		return say_usage(shell,
			"certbot has not called this: CERTBOT_DOMAIN and CERTBOT_VALIDATION are "
			"not set; it belongs behind --manual-auth-hook or --manual-cleanup-hook");
	if ((status = hook_open(&hook)) == STATUS_DONE)
		status = does(&hook, answer.token != NULL ? "http-01" : "dns-01", &answer, 1);
	return end(&hook, status);
}

int run_hook_certbot_auth(struct shell *shell)
{
	return certbot_answer(shell, hook_present);
}

int run_hook_certbot_cleanup(struct shell *shell)
{
	return certbot_answer(shell, hook_cleanup);
}

/* Without slashes at its end; "." is not what a folder is called. To be freed. */
static char *plain_folder(const char *folder)
{
	size_t len = strlen(folder);
	char *plain, *whole = NULL;

	while (len > 1 && folder[len - 1] == '/')
		len--;
	plain = memory_copy(folder, len);
	if (strcmp(last_of(plain), ".") == 0 || strcmp(last_of(plain), "..") == 0)
		whole = realpath(plain, NULL);
	if (whole == NULL)
		return plain;
	free(plain);
	return whole;
}

static int certbot_deploy(struct hook *hook, const char *given)
{
	char *folder = plain_folder(given);
	struct text key = {0}, chain = {0};
	struct hook_files files = {.name = last_of(folder)};
	int status;

	text_printf(&key, "%s/privkey.pem", folder);
	text_printf(&chain, "%s/fullchain.pem", folder);
	files.key = text_of(&key);
	files.chain = text_of(&chain);
	status = hook_deploy(hook, &files);
	free(folder);
	text_free(&key);
	text_free(&chain);
	return status;
}

/* certbot only logs that it has failed, and does not call again: whoever looks after it may, with
 * the folders. */
int run_hook_certbot_deploy(struct shell *shell)
{
	const struct strings *folders = &shell->options.operands;
	const char *renewed = hook_variable("RENEWED_LINEAGE");
	struct hook hook = {.shell = shell};
	int one, status;
	size_t i, n = folders->n > 0 ? folders->n : 1;

	if (folders->n == 0 && renewed == NULL)
		return say_usage(shell,
			"RENEWED_LINEAGE is not set: certbot calls this behind --deploy-hook; else "
			"name the folder of a certificate, /etc/letsencrypt/live/NAME");
	if ((status = hook_open(&hook)) != STATUS_DONE)
		return end(&hook, status);
	for (i = 0; i < n; i++) {
		one = certbot_deploy(&hook, folders->n > 0 ? folders->items[i] : renewed);
		status = one != STATUS_DONE ? one : status;
	}
	return end(&hook, status);
}

/* ---- dehydrated ----
 * docs/examples/hook.sh of dehydrated. An operation that is not known must go well: it is how
 * dehydrated finds out whether a hook can live with newer versions. */

/* "DOMAIN TOKEN VALUE" once, or under HOOK_CHAIN once for each name. */
static int dehydrated_answer(struct hook *hook, const struct strings *args, answer_fn *does)
{
	const char *challenge = hook_variable("CHALLENGETYPE");
	struct hook_answer *answers;
	size_t i, n = args->n / 3;
	int status;

	if (args->n % 3 != 0)
		return say_usage(hook->shell, "dehydrated gives DOMAIN TOKEN VALUE, or several");
	if (challenge == NULL)
		challenge = "http-01";
	/* What is in WELLKNOWN, or in ALPNCERTDIR, dehydrated has put there itself. */
	if (strcmp(challenge, "dns-01") != 0 && !hook_can(hook, hook_cap(challenge)))
		return STATUS_DONE;
	answers = memory_grow(NULL, n, sizeof(*answers));
	memset(answers, 0, n * sizeof(*answers));
	for (i = 0; i < n; i++) {
		answers[i].name = args->items[3 * i];
		answers[i].token = args->items[3 * i + 1];
		answers[i].value = args->items[3 * i + 2];
	}
	status = does(hook, challenge, answers, n);
	free(answers);
	return status;
}

static int dehydrated_present(struct hook *hook, const struct strings *args)
{
	return dehydrated_answer(hook, args, hook_present);
}

static int dehydrated_cleanup(struct hook *hook, const struct strings *args)
{
	return dehydrated_answer(hook, args, hook_cleanup);
}

/* That the targets are all right is known by now: better before an order than after it. */
static int dehydrated_startup(struct hook *hook, const struct strings *args)
{
	(void)hook;
	(void)args;
	return STATUS_DONE;
}

/* DOMAIN KEYFILE CERTFILE FULLCHAINFILE CHAINFILE. The folder is called as the certificate is: by
 * its alias, if it has one. */
static int dehydrated_deploy(struct hook *hook, const struct strings *args)
{
	char *folder = folder_of(args->items[3]);
	struct text kept = {0};
	struct hook_files files = {.name = folder != NULL ? last_of(folder) : args->items[0],
		.key = args->items[1],
		.chain = args->items[3],
		.issuer = args->n > 4 ? args->items[4] : NULL};
	int status = STATUS_DONE;

	text_printf(&kept, "%s/" KEPT_REQUEST, folder != NULL ? folder : ".");
	files.is_requested = access(text_of(&kept), F_OK) == 0;
	if (hook_can(hook, CERTAUTO_TARGET_DEPLOY))
		status = hook_deploy(hook, &files);
	free(folder);
	text_free(&kept);
	return status;
}

/* The type of key that dehydrated would have made. */
static const char *dehydrated_key(void)
{
	const char *algo = hook_variable("KEY_ALGO"), *size = hook_variable("KEYSIZE");

	if (algo != NULL && strcmp(algo, "prime256v1") == 0)
		return "ecdsa-p256";
	if (algo == NULL || strcmp(algo, "rsa") != 0)
		return "ecdsa-p384";
	if (size != NULL && strcmp(size, "2048") == 0)
		return "rsa-2048";
	return size != NULL && strcmp(size, "3072") == 0 ? "rsa-3072" : "rsa-4096";
}

/* DOMAIN CERTDIR "NAME NAME...", for every certificate in every run: whether it is due is not known
 * yet. */
static int dehydrated_request(struct hook *hook, const struct strings *args)
{
	char *copy = memory_copy(args->items[2], strlen(args->items[2])), *rest = copy, *name;
	struct strings names = {0};
	struct text kept = {0};
	int status;

	while ((name = strsep(&rest, " ")) != NULL)
		if (*name != '\0')
			strings_add(&names, name);
	text_printf(&kept, "%s/" KEPT_REQUEST, args->items[1]);
	status = hook_request(hook, last_of(args->items[1]), dehydrated_key(), &names,
		text_of(&kept));
	text_free(&kept);
	free(names.items);
	free(copy);
	return status;
}

/* All others, invalid_challenge, request_failure, sync_cert, deploy_ocsp, exit_hook, ask for
 * nothing that is ours. */
static const struct operation dehydrated_operations[] = {
	{"startup_hook", "", 0, dehydrated_startup},
	{"generate_csr", "DOMAIN CERTDIR \"NAME...\"", 3, dehydrated_request},
	{"deploy_challenge", "DOMAIN TOKEN VALUE ...", 3, dehydrated_present},
	{"clean_challenge", "DOMAIN TOKEN VALUE ...", 3, dehydrated_cleanup},
	{"deploy_cert", "DOMAIN KEYFILE CERTFILE FULLCHAINFILE CHAINFILE", 4, dehydrated_deploy},
	/* A deployment that has failed is never asked for again; one that is as it should be is
	 * looked at only. */
	{"unchanged_cert", "DOMAIN KEYFILE CERTFILE FULLCHAINFILE CHAINFILE", 4, dehydrated_deploy},
	{NULL, NULL, 0, NULL},
};

static const struct operation *find(const struct operation *operations, const char *name)
{
	for (; operations->name != NULL; operations++)
		if (strcmp(operations->name, name) == 0)
			return operations;
	return NULL;
}

/* Runs what the first operand says, with the others as its arguments. */
static int run_operation(struct shell *shell, const struct operation *operation)
{
	struct hook hook = {.shell = shell};
	struct strings args = shell->options.operands;
	int status;

	args.items++;
	args.n--;
	if (args.n < operation->n)
		return say_usage(shell, "usage: certauto %s %s %s", shell->verb->name,
			operation->name, operation->arguments);
	if ((status = hook_open(&hook)) == STATUS_DONE)
		status = operation->run(&hook, &args);
	return end(&hook, status);
}

/* Taking the key away from dehydrated must be wanted: who reads privkey.pem would find an old
 * one. */
static int wants_request(void)
{
	const char *value = hook_variable("CERTAUTO_KEY_BY_TARGET");

	return value != NULL && (strcmp(value, "yes") == 0 || strcmp(value, "1") == 0);
}

int run_hook_dehydrated(struct shell *shell)
{
	const struct strings *operands = &shell->options.operands;
	const struct operation *operation;

	if (operands->n == 0)
		return say_usage(shell, "usage: certauto hook dehydrated OPERATION [ARGUMENT...]");
	operation = find(dehydrated_operations, operands->items[0]);
	if (operation == NULL || (operation->run == dehydrated_request && !wants_request()))
		return STATUS_DONE;
	return run_operation(shell, operation);
}

/* ---- lego ----
 * Its DNS provider "exec", and the hooks of its commands, which it kills after two minutes: before
 * that we give up, and take back what we have begun. */

#define LEGO_PATIENCE_S "80"

/* "FQDN VALUE", or under EXEC_MODE=RAW "-- DOMAIN TOKEN KEYAUTH". */
static int lego_answer(struct hook *hook, const struct strings *args, answer_fn *does)
{
	struct strings left = *args;
	struct hook_answer answer = {0};
	int is_raw = strcmp(left.items[0], "--") == 0;

	if (is_raw) {
		left.items++;
		left.n--;
	}
	is_raw |= left.n > 2;
	if (left.n != (is_raw ? 3u : 2u))
		return say_usage(hook->shell, "lego gives FQDN VALUE, or -- DOMAIN TOKEN KEYAUTH");
	if (is_raw) {
		answer.name = left.items[0];
		answer.token = left.items[1];
		answer.value = left.items[2];
	} else {
		answer.record = left.items[0];
		answer.value = left.items[1];
	}
	return does(hook, "dns-01", &answer, 1);
}

static int lego_present(struct hook *hook, const struct strings *args)
{
	return lego_answer(hook, args, hook_present);
}

static int lego_cleanup(struct hook *hook, const struct strings *args)
{
	return lego_answer(hook, args, hook_cleanup);
}

static int lego_deploy(struct hook *hook, const struct strings *args)
{
	struct hook_files files = {.name = hook_either("LEGO_HOOK_CERT_NAME", "LEGO_CERT_DOMAIN"),
		.key = hook_either("LEGO_HOOK_CERT_KEY_PATH", "LEGO_CERT_KEY_PATH"),
		.chain = hook_either("LEGO_HOOK_CERT_PATH", "LEGO_CERT_PATH"),
		.issuer = hook_either("LEGO_HOOK_ISSUER_CERT_PATH", "LEGO_ISSUER_CERT_PATH")};
	struct text issuer = {0};
	size_t len = files.chain != NULL ? strlen(files.chain) : 0;
	int status;

	(void)args;
	if (files.name == NULL || files.key == NULL || files.chain == NULL)
		return say_usage(hook->shell,
			"lego has not called this: LEGO_CERT_DOMAIN, LEGO_CERT_PATH and "
			"LEGO_CERT_KEY_PATH are not set; it belongs behind --run-hook, "
			"--renew-hook or --deploy-hook");
	/* The oldest do not say where that is. */
	if (files.issuer == NULL && len > 4 && strcmp(files.chain + len - 4, ".crt") == 0) {
		text_add_n(&issuer, files.chain, len - 4);
		text_add(&issuer, ".issuer.crt");
		files.issuer = text_of(&issuer);
	}
	status = hook_deploy(hook, &files);
	text_free(&issuer);
	return status;
}

static const struct operation lego_operations[] = {
	{"present", "FQDN VALUE", 2, lego_present},
	{"cleanup", "FQDN VALUE", 2, lego_cleanup},
	{"deploy", "", 0, lego_deploy},
	{NULL, NULL, 0, NULL},
};

/* ---- acme.sh ----
 * The functions of certauto-hooks.sh, which acme.sh sources, call this. */

static int acme_sh_answer(struct hook *hook, const struct strings *args, answer_fn *does)
{
	struct hook_answer answer = {.record = args->items[0], .value = args->items[1]};

	return does(hook, "dns-01", &answer, 1);
}

static int acme_sh_add(struct hook *hook, const struct strings *args)
{
	return acme_sh_answer(hook, args, hook_present);
}

static int acme_sh_rm(struct hook *hook, const struct strings *args)
{
	return acme_sh_answer(hook, args, hook_cleanup);
}

static int acme_sh_deploy(struct hook *hook, const struct strings *args)
{
	struct hook_files files = {
		.name = args->items[0], .key = args->items[1], .chain = args->items[4]};

	return hook_deploy(hook, &files);
}

static const struct operation acme_sh_operations[] = {
	{"add", "FULLDOMAIN VALUE", 2, acme_sh_add},
	{"rm", "FULLDOMAIN VALUE", 2, acme_sh_rm},
	{"deploy", "DOMAIN KEYFILE CERTFILE CAFILE FULLCHAINFILE", 5, acme_sh_deploy},
	{NULL, NULL, 0, NULL},
};

static int run_known(struct shell *shell, const struct operation *operations)
{
	const struct strings *operands = &shell->options.operands;
	const struct operation *operation =
		operands->n > 0 ? find(operations, operands->items[0]) : NULL;
	struct text list = {0};
	int status;

	if (operation != NULL)
		return run_operation(shell, operation);
	for (; operations->name != NULL; operations++)
		text_printf(&list, "%s%s %s", list.len > 0 ? " | " : "", operations->name,
			operations->arguments);
	status = say_usage(shell, "usage: certauto %s %s", shell->verb->name, text_of(&list));
	text_free(&list);
	return status;
}

int run_hook_lego(struct shell *shell)
{
	const struct strings *operands = &shell->options.operands;

	if (operands->n > 0 && strcmp(operands->items[0], "deploy") == 0 &&
	    !option_given(&shell->options, OPTION_TIMEOUT))
		strings_add(&shell->options.given[OPTION_TIMEOUT], LEGO_PATIENCE_S);
	return run_known(shell, lego_operations);
}

int run_hook_acme_sh(struct shell *shell)
{
	return run_known(shell, acme_sh_operations);
}

/* ---- faces ---- */

char **hook_argv(int *argc, char **argv)
{
	static char command[] = "certauto", hook[] = "hook";
	static const char face[] = "hook-";
	char *name = *argc > 0 ? (char *)last_of(argv[0]) : NULL, **out;

	if (name == NULL || strncmp(name, face, strlen(face)) != 0)
		return NULL;
	out = memory_grow(NULL, (size_t)*argc + 3, sizeof(*out));
	out[0] = command;
	out[1] = hook;
	out[2] = name + strlen(face);
	/* With the NULL at its end. */
	memcpy(out + 3, argv + 1, (size_t)*argc * sizeof(*out));
	*argc += 2;
	return out;
}
