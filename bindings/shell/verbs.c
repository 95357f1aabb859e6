/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs, and the help that is made from it. */

#include <stdlib.h>
#include <string.h>

#include "shell.h"

#define DEPLOY_OPTIONS (OPTIONS_NETWORK | OPTIONS_CERTIFICATE | OPTION_BIT(OPTION_DRY_RUN))
#define PLAN_OPTIONS (OPTION_BIT(OPTION_FORCE) | OPTION_BIT(OPTION_MUST_RENEW_BEFORE))
#define RENEW_OPTIONS (DEPLOY_OPTIONS | PLAN_OPTIONS)
#define ACCOUNT_OPTIONS (OPTIONS_NETWORK | OPTIONS_ACCOUNT)
#define REVOKE_OPTIONS \
	(OPTIONS_NETWORK | OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_CA_FILE) | \
		OPTION_BIT(OPTION_STATE) | OPTION_BIT(OPTION_ACCOUNT) | OPTION_BIT(OPTION_CERT) | \
		OPTION_BIT(OPTION_KEY) | OPTION_BIT(OPTION_REASON) | OPTION_BIT(OPTION_BY_KEY))
#define PKI_OPTIONS \
	(OPTION_BIT(OPTION_KEY) | OPTION_BIT(OPTION_SUBJECT) | OPTION_BIT(OPTION_OUT) | \
		OPTION_BIT(OPTION_KEY_OUT) | OPTION_BIT(OPTION_FORCE))

#define HOOK_OPTIONS \
	(OPTIONS_NETWORK | OPTION_BIT(OPTION_TARGET) | OPTION_BIT(OPTION_ENV_FILE))
#define HOOK_DEPLOY_OPTIONS (HOOK_OPTIONS | OPTION_BIT(OPTION_NAME))

#define HOOK_TARGETS \
	"CERTAUTO_TARGET, or --target, is the target: names of the configuration with " \
	"blanks between them, or a type and its options. CERTAUTO_CONFIG, or -c, is the " \
	"configuration. These variables, and those the options point to, may be in a file " \
	"(--env-file, or CERTAUTO_ENV_FILE). Options come before what the client gives."

#define WITHOUT_FILE \
	"Without a configuration file, --server, --state, --domain and --target " \
	"say what one would say. The certificate is called after its first domain " \
	"unless --name is given. A --target is a type and its options, such as " \
	"haproxy,socket=/run/haproxy/admin.sock,probe=10.0.0.1:443,10.0.0.2:443: a " \
	"comma ends a value only when NAME= follows it. Secret options are only " \
	"pointed to: option=file:PATH, option=env:NAME, option=fd:N. The first " \
	"target that can answers the challenges; every one that can is deployed to. With " \
	"--csr FILE the key is kept elsewhere, and the names are those of the request."

const struct verb verbs[] = {
	{"issue", "NAME... | --domain NAME... | --csr FILE", "get certificates and deploy them",
		"Issues the certificates NAME of the configuration where there is none yet, none "
		"that is valid for the names and keys configured, or one that is due for "
		"renewal; deploys what is not deployed. What is in order is left alone; --force "
		"issues it again, --must-renew-before what would come due before that "
		"time.\n" WITHOUT_FILE,
		RENEW_OPTIONS, -1, VALUE_CERTIFICATE, run_issue},
	{"renew", "[NAME...]", "do what is due: renew, deploy, finish what an earlier run left",
		"Renews each certificate of the configuration (or only NAME) that is due: when a "
		"third of its life is left, half of a life under ten days, or earlier if the CA "
		"suggests so. Deploys what is issued but not deployed, and settles what an "
		"interrupted run left behind. --must-renew-before also renews what would come "
		"due before that time, such as the end of a freeze. Meant to be run "
		"daily.\n" WITHOUT_FILE,
		RENEW_OPTIONS, -1, VALUE_CERTIFICATE, run_renew},
	{"deploy", "[NAME...] | --cert FILE --target TARGET",
		"deploy what is issued, without asking the CA",
		"Takes the current certificates to their targets again and proves that they are "
		"served.\n"
		"With --cert FILE it is the certificate in a file, with its key in --key FILE "
		"(left out where the target has it), that each --target gets: a type and its "
		"options, or the name of a target of the configuration. --name is what it is "
		"called there.\n" WITHOUT_FILE,
		DEPLOY_OPTIONS | OPTION_BIT(OPTION_CERT), -1, VALUE_CERTIFICATE, run_deploy},
	{"plan", "[NAME...]", "say what renew would do now, and why",
		"Reads the state directory; asks neither the CA nor a target.",
		OPTIONS_NETWORK | PLAN_OPTIONS, -1, VALUE_CERTIFICATE, run_plan},
	{"status", "", "show the certificates, how long they are valid, where they are",
		"Reads the state directory; asks neither the CA nor a target.\n" WITHOUT_FILE,
		OPTIONS_NETWORK | OPTIONS_CERTIFICATE, 0, VALUE_ANY, run_status},
	{"check", "", "log in at every CA and target, change nothing",
		"Finds what would stop a renewal before one is due: a CA that cannot be reached, "
		"a target that refuses, a state directory that cannot be written.",
		OPTIONS_NETWORK, 0, VALUE_ANY, run_check},
	{"gc", "", "settle what crashed runs left behind",
		"Takes away challenge answers and half-made changes that interrupted runs left "
		"on targets, also of certificates that are no longer configured, and stale "
		"temporary files.",
		OPTIONS_NETWORK, 0, VALUE_ANY, run_gc},
	{"revoke", "NAME... | --cert FILE", "revoke certificates at the CA",
		"Revokes the current certificates of NAME, for all keys, signed by their account "
		"or with --by-key by their own keys. They are due from then on: renew replaces "
		"them. After --reason key-compromise a key is not used again.\n"
		"--cert FILE revokes the certificate in a file, signed by --account NAME of the "
		"configuration, by the account that --server and --state have, or by the "
		"certificate's own key, --key FILE: then --server is all that is needed besides.",
		REVOKE_OPTIONS, -1, VALUE_CERTIFICATE, run_revoke},
	{"account register", "[ACCOUNT...]", "find or make the account at the CA",
		"Looks the account up by its key; makes it if there is none and the terms are "
		"agreed to. issue does that too when it must. A CA that wants to know whose the "
		"account is has given you an id and a MAC key: --eab-kid and --eab-hmac, the "
		"latter only pointed to as file:PATH, env:NAME or fd:N.",
		ACCOUNT_OPTIONS, -1, VALUE_ACCOUNT, run_account_register},
	{"account show", "[ACCOUNT...]", "show the accounts and their URLs",
		"Reads the state directory; asks no CA, but with --online: then status, contacts, "
		"terms of service and profiles are shown as well.",
		ACCOUNT_OPTIONS | OPTION_BIT(OPTION_ONLINE), -1, VALUE_ACCOUNT, run_account_show},
	{"account update", "[ACCOUNT...]", "tell the CA the contacts, and agreement to its terms",
		"The contacts at the CA are replaced by those of the configuration (or --contact); "
		"without any they are cleared. Where the terms are agreed to, that is said of "
		"them as they are now.",
		ACCOUNT_OPTIONS, -1, VALUE_ACCOUNT, run_account_update},
	{"account rotate-key", "[ACCOUNT...]", "replace the account's key",
		"The new key is of the type configured (or --account-key), and kept before the CA "
		"hears of it: when its answer is lost, the next run asks which one counts. "
		"Certificates are not concerned.",
		ACCOUNT_OPTIONS, -1, VALUE_ACCOUNT, run_account_rotate_key},
	{"account deactivate", "ACCOUNT...", "deactivate the account at the CA, for good",
		"Needs --yes, as no CA takes it back. Certificates stay valid.",
		ACCOUNT_OPTIONS | OPTION_BIT(OPTION_YES), -1, VALUE_ACCOUNT,
		run_account_deactivate},
	{"account orders", "[ACCOUNT...]", "list the account's orders at the CA",
		"Many CAs keep no such list.", ACCOUNT_OPTIONS, -1, VALUE_ACCOUNT,
		run_account_orders},
	{"target list", "", "list the types of targets and what they can do", "", 0, 0, VALUE_ANY,
		run_target_list},
	{"target options", "TYPE", "list the options of a type of target", "", 0, 1,
		VALUE_TARGET_TYPE, run_target_options},
	{"target test", "NAME", "log in at a target of the configuration, change nothing", "",
		OPTIONS_NETWORK, 1, VALUE_TARGET_NAME, run_target_test},
	{"target renew", "NAME", "have a device renew now the certificate that it manages itself",
		"The certificate that the target's options name, and that the device gets by "
		"itself, is renewed now. Waits until that is done; fails with what the device "
		"says. Those that certauto issues are renewed by certauto renew.",
		OPTIONS_NETWORK, 1, VALUE_TARGET_NAME, run_target_renew},
	{"target recipe", "TYPE[,OPTION=VALUE...] | NAME",
		"print what makes an account on the device that can do this and no more",
		"For the administrator of the device to type in there: account and rights, as "
		"narrow as the options allow. Of a type with options as after --target, or of a "
		"target of the configuration; asks no device.",
		OPTIONS_NETWORK, 1, VALUE_TARGET, run_target_recipe},
	{"csr", "--key FILE|TYPE --domain NAME... | --target TARGET --domain NAME...",
		"make a certificate signing request",
		"The names go into subjectAltName; the subject is empty unless --subject is "
		"given. --key is the file of an existing key, or a type: then a key is made and "
		"written to --key-out. Files that exist are not overwritten without --force.\n"
		"With --target the device makes the key, of the type --key, and keeps it: a type "
		"and its options, or the name of a target of the configuration. The certificate "
		"is to be deployed there as --name (default: the first domain).",
		PKI_OPTIONS | OPTION_BIT(OPTION_DOMAIN) | OPTION_BIT(OPTION_TARGET) |
			OPTION_BIT(OPTION_NAME) | OPTIONS_NETWORK,
		0, VALUE_ANY, run_csr},
	{"self-signed", "--cn NAME | --san NAME...", "make a self-signed certificate",
		"--key is the file of an existing key, or a type: then a key is made and written "
		"to --key-out. Files that exist are not overwritten without --force. --verify "
		"prints what is in it, and each --target gets it as deploy --cert would do it, "
		"by --name (default: the first name).",
		PKI_OPTIONS | OPTION_BIT(OPTION_CN) | OPTION_BIT(OPTION_SAN) |
			OPTION_BIT(OPTION_DAYS) | OPTION_BIT(OPTION_VERIFY) |
			OPTION_BIT(OPTION_TARGET) | OPTION_BIT(OPTION_NAME) | OPTIONS_NETWORK,
		0, VALUE_ANY, run_self_signed},
	{"export", "NAME | --cert FILE", "print a certificate with its chain, or its root",
		"The current certificate NAME of the configuration (of the type --key, where it "
		"has several keys), or the one in a file. --root is for those who are to trust "
		"it: the certificate at the end of the chain that has signed itself. CAs often "
		"leave it out; then --ca-file names a file in which it is looked for.\n"
		"--ops-manager makes of it what Ops Manager takes as properties of a tile, and "
		"has it verify certificates: the certificate would have no effect without.\n"
		"--verify prints what is in the certificates, for people or as JSON; with --out "
		"they are written as well.",
		OPTIONS_NETWORK | OPTION_BIT(OPTION_CERT) | OPTION_BIT(OPTION_KEY) |
			OPTION_BIT(OPTION_CA_FILE) | OPTION_BIT(OPTION_ROOT) |
			OPTION_BIT(OPTION_OPS_MANAGER) | OPTION_BIT(OPTION_VERIFY) |
			OPTION_BIT(OPTION_OUT) | OPTION_BIT(OPTION_FORCE),
		1, VALUE_CERTIFICATE, run_export},
	{"hook certbot-auth", "", "answer a challenge for certbot: --manual-auth-hook",
		"Takes name, token and value from the variables CERTBOT_...: http-01 where there "
		"is a token, else dns-01.\n" HOOK_TARGETS,
		HOOK_OPTIONS, 0, VALUE_ANY, run_hook_certbot_auth},
	{"hook certbot-cleanup", "", "take an answer back: --manual-cleanup-hook",
		HOOK_TARGETS, HOOK_OPTIONS, 0, VALUE_ANY, run_hook_certbot_cleanup},
	{"hook certbot-deploy", "[FOLDER...]", "deploy what certbot has renewed: --deploy-hook",
		"Deploys the certificate in RENEWED_LINEAGE to every target that takes one, and "
		"proves that it is served. certbot does not call again when that fails: with "
		"each FOLDER such as /etc/letsencrypt/live/NAME, it is done at any time, and "
		"changes nothing where all is in order.\n" HOOK_TARGETS,
		HOOK_DEPLOY_OPTIONS, -1, VALUE_DIRECTORY, run_hook_certbot_deploy},
	{"hook dehydrated", "OPERATION [ARGUMENT...]", "be the HOOK of dehydrated",
		"Serves all its operations, with HOOK_CHAIN or without: answers challenges, "
		"deploys, and deploys again at unchanged_cert what was not. Operations that need "
		"nothing, and those that are not known, do nothing. With "
		"CERTAUTO_KEY_BY_TARGET=yes the target makes the key.\n" HOOK_TARGETS,
		HOOK_DEPLOY_OPTIONS, -1, VALUE_ANY, run_hook_dehydrated},
	{"hook lego", "present|cleanup FQDN VALUE | deploy",
		"be the program of lego's provider exec, and its hook",
		"present and cleanup answer dns-01, with EXEC_MODE=RAW too; deploy is for "
		"--run-hook, --renew-hook and --deploy-hook.\n" HOOK_TARGETS,
		HOOK_DEPLOY_OPTIONS, -1, VALUE_ANY, run_hook_lego},
	{"hook acme-sh", "add|rm NAME VALUE | deploy NAME KEY CERT CA FULLCHAIN",
		"do what acme.sh's functions of certauto-hooks(7) ask for", HOOK_TARGETS,
		HOOK_DEPLOY_OPTIONS, -1, VALUE_ANY, run_hook_acme_sh},
	{"json", "PATH [FIELD...]", "print values of a JSON document, for scripts",
		"Reads the document, such as certauto --json prints, from standard input. PATH has "
		"names, or places of a list counted from 0, with dots between; * stands for all. "
		"Each string, number, true or false found there is printed as a line of its own. "
		"With FIELD, a PATH from there on: a line for each thing found, its fields with "
		"tabs between, and - where there is nothing.\n"
		"Exit status 1 when nothing was found.",
		0, -1, VALUE_ANY, run_json},
	{"completion", "bash|zsh", "print what makes that shell complete command lines",
		"For bash: source <(certauto completion bash). For zsh, after compinit: source "
		"<(certauto completion zsh). Both are installed where the shells look for them.",
		0, -1, VALUE_SHELL, run_completion},
	{"version", "", "show the version of command and library", "", 0, 0, VALUE_ANY,
		run_version},
	{"help", "[VERB]", "show this, or how a verb is used", "", 0, 2, VALUE_VERB, run_help},
	{NULL, NULL, NULL, NULL, 0, 0, VALUE_ANY, NULL},
};

/* How many words of a verb's name the operands begin with; 0 if they are another verb. */
static size_t match(const struct verb *verb, const struct strings *operands)
{
	const char *rest = strchr(verb->name, ' ');
	size_t len = rest != NULL ? (size_t)(rest - verb->name) : strlen(verb->name);

	if (strlen(operands->items[0]) != len || memcmp(operands->items[0], verb->name, len) != 0)
		return 0;
	if (rest == NULL)
		return 1;
	return operands->n > 1 && strcmp(operands->items[1], rest + 1) == 0 ? 2 : 0;
}

const struct verb *verb_find(const struct strings *operands, size_t *n_words)
{
	const struct verb *verb;

	for (verb = verbs; verb->name != NULL && operands->n > 0; verb++)
		if ((*n_words = match(verb, operands)) > 0)
			return verb;
	return NULL;
}

/* ---- help ---- */

void help_add_verbs(struct text *out)
{
	const struct verb *verb;

	for (verb = verbs; verb->name != NULL; verb++)
		text_printf(out, "%s%s", verb != verbs ? ", " : "", verb->name);
}

static void add_option_lines(struct text *out, option_set options)
{
	int id;

	for (id = 0; id < OPTION_COUNT; id++)
		if ((options & OPTION_BIT(id)) != 0)
			option_describe(out, id);
}

static void add_paragraphs(struct text *out, const char *details)
{
	size_t len;
	char *paragraph;

	for (; *details != '\0'; details += len + (details[len] != '\0')) {
		len = strcspn(details, "\n");
		paragraph = memory_copy(details, len);
		text_add(out, "\n");
		text_add_wrapped(out, paragraph, 0, HELP_WIDTH);
		free(paragraph);
	}
}

option_set verb_options(const struct verb *verb)
{
	/* -c belongs to the command, and does no harm to a verb that reads no configuration. */
	if (verb == NULL)
		return OPTIONS_COMMON | OPTION_BIT(OPTION_CONFIG);
	return (OPTIONS_COMMON & ~OPTION_BIT(OPTION_VERSION)) | verb->options;
}

static void add_verb(struct text *out, const struct verb *verb)
{
	text_printf(out, "usage: certauto %s [OPTION...]%s%s\n\nTo %s.\n", verb->name,
		*verb->operands != '\0' ? " " : "", verb->operands, verb->summary);
	add_paragraphs(out, verb->details);
	text_add(out, "\n");
	add_option_lines(out, verb_options(verb));
}

static void add_overview(struct text *out)
{
	const struct verb *verb;

	text_add(out,
		"usage: certauto [OPTION...] VERB ...\n\n"
		"Gets certificates over ACME, answers the challenges on the load balancer\n"
		"itself, deploys there, proves by a TLS handshake what is served, and takes\n"
		"it back if it is not.\n\n");
	for (verb = verbs; verb->name != NULL; verb++) {
		text_add(out, "  ");
		text_pad(out, verb->name, 22);
		text_printf(out, "%s\n", verb->summary);
	}
	text_add(out, "\nOptions of every verb, before or after it (certauto help VERB lists "
		      "the others):\n\n");
	add_option_lines(out, verb_options(NULL));
	text_add(out,
		"\nExit status: 0 done or nothing to do, 1 failed, 2 command line or\n"
		"configuration wrong, 3 some of several failed, 75 something must wait,\n"
		"130 or 143 interrupted.\n"
		"See certauto(1), certauto.json(5), certauto-status(7).\n");
}

int help_add(struct text *out, const char *name)
{
	const struct verb *verb;
	size_t len = strlen(name);
	int n = 0;

	for (verb = verbs; verb->name != NULL; verb++) {
		if (strncmp(verb->name, name, len) != 0 ||
		    (verb->name[len] != '\0' && verb->name[len] != ' '))
			continue;
		if (n++ > 0)
			text_add(out, "\n");
		add_verb(out, verb);
	}
	return n;
}

int run_help(struct shell *shell)
{
	const struct strings *operands = &shell->options.operands;
	struct text name = {0}, text = {0};
	int status = STATUS_DONE;

	if (operands->n > 0)
		text_add(&name, operands->items[0]);
	if (operands->n > 1)
		text_printf(&name, " %s", operands->items[1]);
	if (operands->n == 0) {
		add_overview(&text);
	} else if (!help_add(&text, text_of(&name))) {
		help_add_verbs(&text);
		status = say_usage(shell, "there is no verb %s; there are: %s", text_of(&name),
			text_of(&text));
		text_free(&text);
	}
	say(&text);
	text_free(&name);
	text_free(&text);
	return status;
}

int run_version(struct shell *shell)
{
	struct text text = {0};

	if (shell->json)
		text_printf(&text,
			"{\"version\":1,\"verb\":\"version\",\"certauto\":\"%s\","
			"\"library\":\"%s\"}\n",
			CERTAUTO_VERSION, certauto_version());
	else
		text_printf(&text, "certauto %s, libcertauto %s\n", CERTAUTO_VERSION,
			certauto_version());
	say(&text);
	text_free(&text);
	return STATUS_DONE;
}
