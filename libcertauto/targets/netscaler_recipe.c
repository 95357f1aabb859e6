/* SPDX-License-Identifier: Apache-2.0 */
/* The rights certauto needs on a NetScaler, from one table: as command policies (regular
 * expressions over the device's command lines, which is how it sees NITRO calls too), and as the
 * command lines that an account's policies are held against. */

#include "targets/netscaler.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SPEC_MAX 255 /* of a policy's expression; more of them are bound one behind the other */

enum object {
	OBJECT_NONE,
	OBJECT_OURS,    /* named with the prefix */
	OBJECT_CERTKEY, /* or it is the one that was taken over */
	OBJECT_VSERVER,
	OBJECT_SSL,     /* each of ssl_vserver */
	OBJECT_PARTITION
};

enum need {
	NEED_ALWAYS,
	NEED_CHALLENGE,
	NEED_VSERVER,
	NEED_GLOBAL,
	NEED_SSL,
	NEED_SNI,
	NEED_SAVE,
	NEED_PARTITION
};

/* verbs, nouns: with "|" between. tail: behind the object, as an expression and as an example; "~"
 * stands for a name of ours, "^" for the folder. */
static const struct right {
	const char *what, *verbs, *nouns, *tail, *example;
	unsigned char object, need;
} rights[] = {
	{"looking at the device", "show",
		"ns version|ns feature|HA node|system user|system group|system cmdPolicy", NULL,
		NULL, OBJECT_NONE, NEED_ALWAYS},
	{"looking at certificates", "show", "ssl certKey", NULL, NULL, OBJECT_NONE, NEED_ALWAYS},
	{"looking at virtual servers", "show", "ssl vserver", NULL, NULL, OBJECT_SSL, NEED_SSL},
	{"looking at virtual servers", "show", NULL, NULL, NULL, OBJECT_VSERVER, NEED_VSERVER},
	{"looking at files", "show", "system file", "-file[lL]ocation\\s+\\S*^\\S*",
		"-fileLocation ^", OBJECT_NONE, NEED_ALWAYS},
	{"reading back what was sent", "show", "system file",
		"-file[nN]ame\\s+~\\S*\\s+-file[lL]ocation\\s+\\S*^\\S*",
		"-fileName ~1 -fileLocation ^", OBJECT_NONE, NEED_ALWAYS},
	{"looking at challenges", "show",
		"responder action|responder policy|responder global", NULL, NULL, OBJECT_NONE,
		NEED_CHALLENGE},
	{"answering challenges", "add|rm", "responder action|responder policy", NULL, NULL,
		OBJECT_OURS, NEED_CHALLENGE},
	{"answering challenges", "bind|unbind", NULL, "-policy(Name)?\\s+~.*",
		"-policyName ~1", OBJECT_VSERVER, NEED_VSERVER},
	{"answering challenges", "bind|unbind", "responder global", "(-policyName\\s+)?~.*",
		"~1", OBJECT_NONE, NEED_GLOBAL},
	{"storing keys and certificates", "add|rm", "system file", ".*^.*", " -fileLocation ^",
		OBJECT_CERTKEY, NEED_ALWAYS},
	{"installing certificates", "add|update|link|unlink|rm", "ssl certKey", NULL, NULL,
		OBJECT_CERTKEY, NEED_ALWAYS},
	{"binding certificates", "bind|unbind", "ssl vserver", "-certkeyName.*",
		"-certkeyName ~1", OBJECT_SSL, NEED_SSL},
	{"binding certificates for SNI", "set", "ssl vserver", "-(sni|SNI)Enable.*",
		"-SNIEnable ENABLED", OBJECT_SSL, NEED_SNI},
	{"keeping changes through a reboot", "save", "ns config", NULL, NULL, OBJECT_NONE,
		NEED_SAVE},
	{"working in the partition", "switch", "ns partition", NULL, NULL, OBJECT_PARTITION,
		NEED_PARTITION},
	{CERTAUTO__NS_DEVICE_KEYS, "create", "ssl rsakey|ssl ecdsakey|ssl certreq", "\\S*~.*",
		"~1", OBJECT_NONE, NEED_ALWAYS},
};

#define N_RIGHTS (sizeof(rights) / sizeof(rights[0]))

/* ---- what is needed, and of what ---- */

/* Nothing of it is configured: the recipe shows where it would go. */
static int is_open(const certauto_target *target)
{
	return certauto__option_text(target, "vserver") == NULL &&
		certauto__option_text(target, "vserver_type") == NULL &&
		certauto__option_list(target, "ssl_vserver")->n == 0;
}

static int is_needed(const certauto_target *target, const struct right *right, int recipe)
{
	int open = recipe && is_open(target);
	int is_global = certauto__text_equal(certauto__option_text(target, "vserver_type"),
		"global");
	int has_vserver = !is_global &&
		(open || certauto__option_text(target, "vserver") != NULL);
	int has_ssl = certauto__option_list(target, "ssl_vserver")->n > 0;

	switch ((enum need)right->need) {
	case NEED_ALWAYS:
		break;
	case NEED_CHALLENGE:
		return is_global || has_vserver;
	case NEED_VSERVER:
		return has_vserver;
	case NEED_GLOBAL:
		return is_global;
	case NEED_SSL:
		return open || has_ssl;
	case NEED_SNI: /* which a certificate's own options may ask for */
		return (open || has_ssl) && (recipe || !certauto__text_equal(
			certauto__option_text(target, "sni"), "default"));
	case NEED_SAVE:
		return certauto__option_flag(target, "save");
	case NEED_PARTITION:
		return certauto__option_text(target, "partition") != NULL;
	}
	return 1;
}

static size_t n_objects(const certauto_target *target, const struct right *right)
{
	size_t n = right->object == OBJECT_SSL ?
		certauto__option_list(target, "ssl_vserver")->n : 1;

	return n > 0 ? n : 1;
}

/* The words of the object itself; NULL: it has none, or begins with the prefix. */
static const char *object_name(const certauto_target *target, const struct right *right, size_t i)
{
	const certauto__list *list = certauto__option_list(target, "ssl_vserver");
	const char *name;

	switch ((enum object)right->object) {
	case OBJECT_VSERVER:
		name = certauto__option_text(target, "vserver");
		return name != NULL ? name : "VSERVER";
	case OBJECT_SSL:
		return i < list->n ? list->items[i] : "SSLVSERVER";
	case OBJECT_PARTITION:
		return certauto__option_text(target, "partition");
	case OBJECT_CERTKEY:
		return certauto__option_text(target, "certkey");
	case OBJECT_NONE:
	case OBJECT_OURS:
		break;
	}
	return NULL;
}

static void nouns_of(char out[64], const certauto_target *target, const struct right *right,
	const char **nouns)
{
	const char *type = certauto__option_text(target, "vserver_type");

	*nouns = right->nouns;
	if (right->object != OBJECT_VSERVER)
		return;
	(void)snprintf(out, 64, "%s vserver", type != NULL ? type : "");
	*nouns = type != NULL ? out : "cs vserver|lb vserver|vpn vserver";
}

/* ---- as regular expressions ---- */

/* As it is, but what has a meaning in an expression. */
static void spec_name(certauto__buffer *out, const char *name)
{
	for (; *name != '\0'; name++) {
		if (*name == ' ')
			certauto__buffer_text_add(out, "\\s");
		else
			certauto__buffer_printf(out, "%s%c",
				isalnum((unsigned char)*name) || strchr("_-=@:#/", *name) != NULL ?
				"" : "\\", *name);
	}
}

/* Words with "|" between. */
static void spec_words(certauto__buffer *out, const char *words)
{
	int choice = strchr(words, '|') != NULL;

	certauto__buffer_text_add(out, choice ? "(" : "");
	for (; *words != '\0'; words++) {
		if (*words == ' ')
			certauto__buffer_text_add(out, "\\s+");
		else
			certauto__buffer_add(out, words, 1);
	}
	certauto__buffer_text_add(out, choice ? ")" : "");
}

static void spec_ours(certauto__buffer *out, const certauto_target *target, const char *taken)
{
	certauto__buffer_text_add(out, taken != NULL ? "(" : "");
	spec_name(out, certauto__option_text(target, "prefix"));
	certauto__buffer_text_add(out, "-");
	if (taken == NULL)
		return;
	certauto__buffer_text_add(out, "|");
	spec_name(out, taken);
	certauto__buffer_text_add(out, ")");
}

/* Without the slash at the end, which the device may leave out. */
static void spec_folder(certauto__buffer *out, const certauto_target *target)
{
	char folder[CERTAUTO__NS_FOLDER];
	size_t len;

	certauto__netscaler_folder(folder, target);
	len = strlen(folder);
	while (len > 1 && folder[len - 1] == '/')
		folder[--len] = '\0';
	spec_name(out, folder);
}

static void spec_tail(certauto__buffer *out, const certauto_target *target, const char *tail)
{
	for (; *tail != '\0'; tail++) {
		if (*tail == '~')
			spec_ours(out, target, certauto__option_text(target, "certkey"));
		else if (*tail == '^')
			spec_folder(out, target);
		else
			certauto__buffer_add(out, tail, 1);
	}
}

static void spec_add(certauto__buffer *out, const certauto_target *target,
	const struct right *right, size_t i)
{
	const char *name = object_name(target, right, i), *nouns;
	char vserver[64];

	nouns_of(vserver, target, right, &nouns);
	certauto__buffer_text_add(out, "(^");
	spec_words(out, right->verbs);
	certauto__buffer_text_add(out, "\\s+");
	spec_words(out, nouns);
	if (right->object == OBJECT_OURS || right->object == OBJECT_CERTKEY) {
		certauto__buffer_text_add(out, "\\s+");
		spec_ours(out, target, name);
		certauto__buffer_text_add(out, right->tail != NULL ? "" : ".*");
	} else if (name != NULL) {
		certauto__buffer_text_add(out, strchr(name, ' ') != NULL ? "\\s+\"" : "\\s+");
		spec_name(out, name);
		certauto__buffer_text_add(out, strchr(name, ' ') != NULL ? "\"" : "");
	}
	if (right->tail != NULL && right->object != OBJECT_CERTKEY)
		certauto__buffer_text_add(out, "\\s+");
	if (right->tail != NULL)
		spec_tail(out, target, right->tail);
	else if (right->object != OBJECT_OURS && right->object != OBJECT_CERTKEY)
		certauto__buffer_text_add(out, "(\\s.*)?");
	certauto__buffer_text_add(out, "$)");
}

/* ---- the recipe ---- */

struct recipe {
	certauto__buffer *out;
	const char *name;       /* of the first policy; the others have a number behind it */
	int n;
	certauto__buffer spec;  /* of the one that is being filled */
};

static void policy_name(certauto__buffer *out, const struct recipe *recipe, int i)
{
	certauto__buffer_text_add(out, recipe->name);
	if (i > 0)
		certauto__buffer_printf(out, "-%d", i + 1);
}

static void policy_flush(struct recipe *recipe)
{
	const char *at;

	if (recipe->spec.rc < 0)
		recipe->out->rc = recipe->spec.rc;
	if (recipe->spec.len == 0)
		return;
	certauto__buffer_text_add(recipe->out, "add system cmdPolicy ");
	policy_name(recipe->out, recipe, recipe->n++);
	certauto__buffer_text_add(recipe->out, " ALLOW \"");
	for (at = recipe->spec.data; *at != '\0'; at++)
		certauto__buffer_printf(recipe->out, "%s%c", *at == '"' ? "\\" : "", *at);
	certauto__buffer_text_add(recipe->out, "\"\n");
	certauto__buffer_clear(&recipe->spec);
}

static void policy_add(struct recipe *recipe, const certauto__buffer *spec)
{
	if (recipe->spec.len + 1 + spec->len > SPEC_MAX)
		policy_flush(recipe);
	if (spec->rc < 0)
		recipe->out->rc = spec->rc;
	certauto__buffer_printf(&recipe->spec, "%s%s", recipe->spec.len > 0 ? "|" : "",
		certauto__buffer_text(spec));
}

static void policies_add(struct recipe *recipe, const certauto_target *target)
{
	certauto__buffer spec = CERTAUTO__BUFFER(4096);
	size_t i, j;

	for (i = 0; i < N_RIGHTS; i++) {
		if (!is_needed(target, &rights[i], 1))
			continue;
		for (j = 0; j < n_objects(target, &rights[i]); j++) {
			certauto__buffer_clear(&spec);
			spec_add(&spec, target, &rights[i], j);
			policy_add(recipe, &spec);
		}
	}
	policy_flush(recipe);
	certauto__buffer_free(&spec);
}

int certauto__netscaler_recipe(const certauto_target *target, certauto__buffer *out,
	certauto_error *err)
{
	const char *user = certauto__option_text(target, "user"), *partition, *quote;
	struct recipe recipe = {.out = out, .spec = CERTAUTO__BUFFER(8192)};
	int i, rc;

	recipe.name = certauto__option_text(target, "prefix");
	partition = certauto__option_text(target, "partition");
	if (user == NULL || strcmp(user, "nsroot") == 0) /* that one may do anything */
		user = "certauto";
	quote = strchr(user, ' ') != NULL ? "\"" : "";
	certauto__buffer_printf(out, "# What certauto does on this device, and no more; put a "
		"password for PASSWORD.\n");
	policies_add(&recipe, target);
	certauto__buffer_printf(out,
		"add system user %s%s%s PASSWORD -externalAuth DISABLED -timeout 900\n", quote,
		user, quote);
	for (i = 0; i < recipe.n; i++) {
		certauto__buffer_printf(out, "bind system user %s%s%s ", quote, user, quote);
		policy_name(out, &recipe, i);
		certauto__buffer_printf(out, " %d\n", 100 + i);
	}
	if (partition != NULL)
		certauto__buffer_printf(out, "bind system user %s%s%s -partitionName %s\n", quote,
			user, quote, partition);
	certauto__buffer_printf(out,
		"# From release 13.0 on, for no other use than this: set system user %s%s%s "
		"-allowedManagementInterface API\n# At the end: save ns config\n",
		quote, user, quote);
	rc = out->rc;
	certauto__buffer_free(&recipe.spec);
	return rc < 0 ? certauto__error_set(err, rc, target->label, "%s",
		certauto_error_text(rc)) : 0;
}

/* ---- as command lines ---- */

static size_t n_words(const char *words)
{
	size_t n = 1;

	for (; *words != '\0'; words++)
		n += *words == '|';
	return n;
}

/* The i-th of the words with "|" between, which is there, with a blank behind it. */
static void word_add(certauto__buffer *out, const char *words, size_t i)
{
	for (; i > 0; i--)
		words += strcspn(words, "|") + 1;
	certauto__buffer_add(out, words, strcspn(words, "|"));
	certauto__buffer_text_add(out, " ");
}

static void ours_add(certauto__buffer *out, const certauto_target *target, const char *taken)
{
	if (taken != NULL)
		certauto__buffer_text_add(out, taken);
	else
		certauto__buffer_printf(out, "%s-1", certauto__option_text(target, "prefix"));
}

static void example_add(certauto__buffer *out, const certauto_target *target, const char *example)
{
	char folder[CERTAUTO__NS_FOLDER];

	certauto__netscaler_folder(folder, target);
	for (; *example != '\0'; example++) {
		if (*example == '~')
			ours_add(out, target, certauto__option_text(target, "certkey"));
		else if (*example == '^')
			certauto__buffer_text_add(out, folder);
		else
			certauto__buffer_add(out, example, 1);
	}
}

/* The i-th line of those one row stands for. */
static void line_add(certauto__buffer *out, const certauto_target *target,
	const struct right *right, size_t i)
{
	size_t n_verbs = n_words(right->verbs), n = n_objects(target, right);
	const char *name = object_name(target, right, i % n), *nouns;
	char vserver[64];

	nouns_of(vserver, target, right, &nouns);
	word_add(out, right->verbs, i / n % n_verbs);
	word_add(out, nouns, i / n / n_verbs);
	if (right->object == OBJECT_OURS || right->object == OBJECT_CERTKEY)
		ours_add(out, target, name);
	else if (name != NULL)
		certauto__buffer_printf(out, strchr(name, ' ') != NULL ? "\"%s\" " : "%s ", name);
	if (right->example != NULL)
		example_add(out, target, right->example);
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		out->data[--out->len] = '\0';
}

int certauto__netscaler_command(char line[256], const char **what, const certauto_target *target,
	size_t i)
{
	certauto__buffer text = CERTAUTO__BUFFER(4096);
	char vserver[64];
	const char *nouns;
	size_t at, n;
	int rc;

	for (at = 0; at < N_RIGHTS; at++) {
		if (!is_needed(target, &rights[at], 0))
			continue;
		nouns_of(vserver, target, &rights[at], &nouns);
		n = n_words(rights[at].verbs) * n_words(nouns) * n_objects(target, &rights[at]);
		if (i >= n) {
			i -= n;
			continue;
		}
		line_add(&text, target, &rights[at], i);
		(void)snprintf(line, 256, "%s", certauto__buffer_text(&text));
		rc = text.rc;
		certauto__buffer_free(&text);
		*what = rights[at].what;
		return rc < 0 ? rc : 1;
	}
	return 0;
}
