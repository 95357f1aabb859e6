/* SPDX-License-Identifier: Apache-2.0 */
/* The files store: what it keeps, what it refuses, and what is left after a kill or a full disk. */
#include "unit_store.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "crypto_fixtures.h"
#include "store/files_io.h"

#define NAME "shop"
#define KEY "ecdsa-p256"
#define LINEAGE "certs/" NAME "/" KEY
#define SERVER "https://ca.example/directory"

static int setup(void **state)
{
	struct unit_store *u = calloc(1, sizeof(*u));

	unit_store_setup(u);
	*state = u;
	return 0;
}

static int teardown(void **state)
{
	unit_store_teardown(*state);
	free(*state);
	return 0;
}

/* ---- generations ---- */

static void make_draft(struct unit_store *u, struct certauto__generation *out)
{
	memset(out, 0, sizeof(*out));
	certauto__buffer_init(&out->csr, 65536);
	assert_int_equal(certauto__secret_new(&out->key, key_p256, strlen(key_p256)), 0);
	assert_int_equal(certauto__buffer_text_add(&out->csr, csr_empty_subject), 0);
	assert_int_equal(u->store->row->draft(u->store, NAME, KEY, out, &u->err), 0);
	assert_non_null(out->id);
}

static void complete_draft(struct unit_store *u, struct certauto__generation *draft)
{
	certauto__certs *chain = NULL;

	certauto__list_free(&draft->names);
	assert_int_equal(certauto__list_add_text(&draft->names, "a.example.org"), 0);
	certauto__free(draft->server);
	draft->server = certauto__strdup(SERVER);
	certauto__free(draft->order_url);
	draft->order_url = certauto__strdup("https://ca.example/order/1");
	draft->issued_at = 1000;
	assert_int_equal(certauto__certs_parse(&chain, chain_good, strlen(chain_good), 0, NULL), 0);
	assert_int_equal(u->store->row->complete(u->store, NAME, KEY, draft, chain, &u->err), 0);
	certauto__certs_free(chain);
}

/* Makes a whole generation; id (size at least 64) is its name. */
static void make_generation(struct unit_store *u, char *id)
{
	struct certauto__generation draft;

	make_draft(u, &draft);
	complete_draft(u, &draft);
	snprintf(id, 64, "%s", draft.id);
	certauto__generation_free(&draft);
}

static void assert_current(struct unit_store *u, const char *id)
{
	char link[64] = "";

	assert_true(readlink(unit_state_path(u, LINEAGE "/current"), link, sizeof(link) - 1) > 0);
	assert_string_equal(link, id);
}

static void test_store__a_generation_is_read_back_as_it_was_written(void **state)
{
	struct unit_store *u = *state;
	struct certauto__generation loaded = {0};
	char id[64];

	make_generation(u, id);
	assert_int_equal(u->store->row->load(u->store, NAME, KEY, NULL, &loaded, &u->err), 0);
	assert_string_equal(loaded.id, id);
	assert_string_equal(certauto__secret_text(loaded.key), key_p256);
	assert_string_equal(loaded.csr.data, csr_empty_subject);
	assert_non_null(strstr(loaded.fullchain.data, "BEGIN CERTIFICATE"));
	assert_int_equal(loaded.names.n, 1);
	assert_string_equal(loaded.names.items[0], "a.example.org");
	assert_string_equal(loaded.server, SERVER);
	assert_string_equal(loaded.order_url, "https://ca.example/order/1");
	assert_null(loaded.profile);
	assert_int_equal(loaded.issued_at, 1000);
	certauto__generation_free(&loaded);
}

static void test_store__a_draft_is_whole_but_not_current(void **state)
{
	struct unit_store *u = *state;
	struct certauto__generation draft, loaded = {0};

	make_draft(u, &draft);
	assert_int_equal(u->store->row->load(u->store, NAME, KEY, draft.id, &loaded, &u->err), 0);
	assert_string_equal(certauto__secret_text(loaded.key), key_p256);
	assert_int_equal(loaded.fullchain.len, 0);
	certauto__generation_free(&loaded);
	unit_assert_error(&u->err, u->store->row->load(u->store, NAME, KEY, NULL, &loaded, &u->err),
		CERTAUTO_ENOTFOUND, "current");
	certauto__generation_free(&draft);
}

static void test_store__current_and_the_one_before_are_kept(void **state)
{
	struct unit_store *u = *state;
	char first[64], second[64], third[64];

	make_generation(u, first);
	make_generation(u, second);
	assert_current(u, second);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), "gen-"), 2);
	make_generation(u, third);
	assert_current(u, third);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), "gen-"), 2);
	assert_memory_equal(first, "gen-1-", 6);
	assert_memory_equal(second, "gen-2-", 6);
	assert_memory_equal(third, "gen-3-", 6);
}

static void test_store__the_one_before_is_whole_and_older_than_the_current(void **state)
{
	struct unit_store *u = *state;
	struct certauto__generation draft, former = {0};
	char first[64], second[64];

	make_generation(u, first);
	unit_assert_error(&u->err,
		u->store->row->load_former(u->store, NAME, KEY, &former, &u->err),
		CERTAUTO_ENOTFOUND, "before");
	make_generation(u, second);
	make_draft(u, &draft); /* not even begun */
	assert_int_equal(u->store->row->load_former(u->store, NAME, KEY, &former, &u->err), 0);
	assert_string_equal(former.id, first);
	assert_non_null(former.key);
	certauto__generation_free(&former);
	certauto__generation_free(&draft);
}

static void test_store__complete_may_come_again_after_a_kill(void **state)
{
	struct unit_store *u = *state;
	struct certauto__generation draft;
	char first[64], path[160];

	make_generation(u, first);
	make_draft(u, &draft);
	/* Killed when a part of the chain was written and another was about to be. */
	snprintf(path, sizeof(path), LINEAGE "/%s/cert.pem", draft.id);
	unit_write(unit_state_path(u, path), "half", 0600);
	snprintf(path, sizeof(path), LINEAGE "/%s/.certauto-tmp-0123456789abcdef", draft.id);
	unit_write(unit_state_path(u, path), "half", 0600);
	assert_current(u, first);
	complete_draft(u, &draft);
	assert_current(u, draft.id);
	complete_draft(u, &draft);
	assert_current(u, draft.id);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), "gen-"), 2);
	certauto__generation_free(&draft);
}

static void test_store__strays_are_swept_but_not_what_is_kept(void **state)
{
	struct unit_store *u = *state;
	struct certauto__generation lost, kept;
	struct timespec old[2] = {{.tv_sec = time(NULL) - 7200}, {.tv_sec = time(NULL) - 7200}};
	const char *stale = LINEAGE "/" CERTAUTO__TEMPORARY "0123456789abcdef";
	char current[64];

	make_generation(u, current);
	make_draft(u, &lost);
	make_draft(u, &kept);
	unit_write(unit_state_path(u, stale), "x", 0600);
	assert_int_equal(utimensat(AT_FDCWD, unit_state_path(u, stale), old, 0), 0);
	assert_int_equal(u->store->row->sweep(u->store, NAME, KEY, kept.id, &u->err), 0);
	assert_false(unit_exists(unit_state_path(u, stale)));
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), lost.id), 0);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), kept.id), 1);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), current), 1);
	assert_int_equal(u->store->row->sweep(u->store, NAME, KEY, NULL, &u->err), 0);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), "gen-"), 1);
	assert_int_equal(u->store->row->sweep(u->store, "nothing", KEY, NULL, &u->err), 0);
	certauto__generation_free(&lost);
	certauto__generation_free(&kept);
}

static void test_store__the_current_generation_is_never_discarded(void **state)
{
	struct unit_store *u = *state;
	struct certauto__generation draft;
	char id[64];

	make_generation(u, id);
	unit_assert_error(&u->err, u->store->row->discard(u->store, NAME, KEY, id, &u->err),
		CERTAUTO_EBUSY, id);
	make_draft(u, &draft);
	assert_int_equal(u->store->row->discard(u->store, NAME, KEY, draft.id, &u->err), 0);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), "gen-"), 1);
	assert_int_equal(u->store->row->discard(u->store, NAME, KEY, draft.id, &u->err), 0);
	unit_assert_error(&u->err, u->store->row->discard(u->store, NAME, KEY, "../x", &u->err),
		CERTAUTO_EINVAL, "generation");
	certauto__generation_free(&draft);
}

static void test_store__modes_do_not_depend_on_the_umask(void **state)
{
	struct unit_store *u = *state;
	mode_t before = umask(0);
	char id[64], path[160];
	struct stat st;

	make_generation(u, id);
	umask(before);
	assert_int_equal(lstat(u->state, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(lstat(unit_state_path(u, LINEAGE), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), LINEAGE "/%s/key.pem", id);
	assert_int_equal(lstat(unit_state_path(u, path), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	before = umask(0777);
	make_generation(u, id);
	umask(before);
	snprintf(path, sizeof(path), LINEAGE "/%s/key.pem", id);
	assert_int_equal(lstat(unit_state_path(u, path), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* ---- missing is not unreadable ---- */

static int load_current(struct unit_store *u)
{
	struct certauto__generation loaded = {0};
	int rc = u->store->row->load(u->store, NAME, KEY, NULL, &loaded, &u->err);

	certauto__generation_free(&loaded);
	return rc;
}

static void test_store__damage_is_never_taken_for_absence(void **state)
{
	static const char *const parts[] = {"key.pem", "csr.pem", "fullchain.pem", "meta.json"};
	struct unit_store *u = *state;
	char id[64], path[160];
	size_t i;

	unit_assert_error(&u->err, load_current(u), CERTAUTO_ENOTFOUND, "state");
	for (i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		make_generation(u, id);
		assert_int_equal(load_current(u), 0);
		snprintf(path, sizeof(path), LINEAGE "/%s/%s", id, parts[i]);
		assert_int_equal(unlink(unit_state_path(u, path)), 0);
		unit_assert_error(&u->err, load_current(u), CERTAUTO_EIO, parts[i]);
	}
	make_generation(u, id);
	snprintf(path, sizeof(path), LINEAGE "/%s/meta.json", id);
	unit_write(unit_state_path(u, path), "{\"version\":2}", 0600);
	unit_assert_error(&u->err, load_current(u), CERTAUTO_EIO, "version 2");
	unit_write(unit_state_path(u, path), "{\"version\":1", 0600);
	unit_assert_error(&u->err, load_current(u), CERTAUTO_EIO, "meta.json");
	make_generation(u, id);
	unlink(unit_state_path(u, LINEAGE "/current"));
	assert_int_equal(symlink("gen-9-00000000", unit_state_path(u, LINEAGE "/current")), 0);
	unit_assert_error(&u->err, load_current(u), CERTAUTO_EIO, "gen-9-00000000");
	unlink(unit_state_path(u, LINEAGE "/current"));
	assert_int_equal(symlink("../../other", unit_state_path(u, LINEAGE "/current")), 0);
	unit_assert_error(&u->err, load_current(u), CERTAUTO_EIO, "current");
}

/* ---- rights, owners, links ---- */

static void test_store__rights_for_others_are_refused_with_the_path(void **state)
{
	struct unit_store *u = *state;
	char id[64], path[160], key[PATH_MAX];

	make_generation(u, id);
	snprintf(path, sizeof(path), LINEAGE "/%s/key.pem", id);
	snprintf(key, sizeof(key), "%s", unit_state_path(u, path));
	assert_int_equal(chmod(key, 0640), 0);
	unit_assert_error(&u->err, load_current(u), CERTAUTO_EPERM, key);
	assert_int_equal(chmod(key, 0600), 0);
	assert_int_equal(chmod(unit_state_path(u, "certs/" NAME), 0770), 0);
	unit_assert_error(&u->err, load_current(u), CERTAUTO_EPERM,
		unit_state_path(u, "certs/" NAME));
	assert_int_equal(chmod(unit_state_path(u, "certs/" NAME), 0755), 0);
	assert_int_equal(load_current(u), 0);
}

static void test_store__an_unsafe_state_directory_stops_the_run(void **state)
{
	struct unit_store *u = *state;

	assert_int_equal(mkdir(u->state, 0700), 0);
	assert_int_equal(chmod(u->state, 0777), 0);
	unit_assert_error(&u->err, u->store->row->preflight(u->store, &u->err), CERTAUTO_EPERM,
		u->state);
	assert_int_equal(chmod(u->state, 01777), 0);
	unit_assert_error(&u->err, u->store->row->preflight(u->store, &u->err), CERTAUTO_EPERM,
		u->state);
	assert_int_equal(chmod(u->state, 0700), 0);
	assert_int_equal(chmod(u->folder, 0777), 0);
	unit_assert_error(&u->err, u->store->row->preflight(u->store, &u->err), CERTAUTO_EPERM,
		u->folder);
	assert_int_equal(chmod(u->folder, 01777), 0);
	assert_int_equal(u->store->row->preflight(u->store, &u->err), 0);
}

static void test_store__planted_links_are_not_followed(void **state)
{
	struct unit_store *u = *state;
	certauto__buffer text = CERTAUTO__BUFFER(1000);
	char id[64], path[160], elsewhere[128], victim[160];

	make_generation(u, id);
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", u->folder);
	snprintf(victim, sizeof(victim), "%s/victim", elsewhere);
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	unit_write(victim, "untouched", 0600);

	assert_int_equal(u->store->row->journal_save(u->store, "one", "text", 4, &u->err), 0);
	assert_int_equal(symlink(victim, unit_state_path(u, "jobs/two.json")), 0);
	unit_assert_error(&u->err, u->store->row->journal_load(u->store, "two", &text, &u->err),
		CERTAUTO_EPERM, "two.json");
	/* Replacing replaces the link, not what it leads to. */
	assert_int_equal(u->store->row->journal_save(u->store, "two", "text", 4, &u->err), 0);
	assert_int_equal(u->store->row->journal_load(u->store, "two", &text, &u->err), 0);
	assert_string_equal(certauto__buffer_text(&text), "text");

	assert_int_equal(rename(unit_state_path(u, "certs"), unit_state_path(u, "moved")), 0);
	assert_int_equal(symlink(unit_state_path(u, "moved"), unit_state_path(u, "certs")), 0);
	unit_assert_error(&u->err, load_current(u), CERTAUTO_EPERM, "certs");
	assert_int_equal(unlink(unit_state_path(u, "certs")), 0);
	assert_int_equal(rename(unit_state_path(u, "moved"), unit_state_path(u, "certs")), 0);

	snprintf(path, sizeof(path), LINEAGE "/%s/key.pem", id);
	snprintf(victim, sizeof(victim), "%s/second-name", elsewhere);
	assert_int_equal(link(unit_state_path(u, path), victim), 0);
	unit_assert_error(&u->err, load_current(u), CERTAUTO_EPERM, "hard link");
	certauto__buffer_free(&text);
}

static void test_store__a_fifo_in_place_of_a_file_does_not_stop_it(void **state)
{
	struct unit_store *u = *state;
	certauto__buffer text = CERTAUTO__BUFFER(1000);

	assert_int_equal(u->store->row->preflight(u->store, &u->err), 0);
	assert_int_equal(mkfifo(unit_state_path(u, "jobs/pipe.json"), 0600), 0);
	unit_assert_error(&u->err, u->store->row->journal_load(u->store, "pipe", &text, &u->err),
		CERTAUTO_EPERM, "pipe.json");
	certauto__buffer_free(&text);
}

/* In a child process: what its function returns is its exit status. */
static int in_child(int (*function)(struct unit_store *u), struct unit_store *u)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(function(u));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int as_another_user(struct unit_store *u)
{
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	if (u->store->row->preflight(u->store, &u->err) != CERTAUTO_EPERM)
		return 3;
	return strstr(certauto_error_message(&u->err), u->state) == NULL ||
		u->err.advice == NULL || strstr(u->err.advice, "65534") == NULL;
}

static void test_store__another_users_directory_is_refused(void **state)
{
	struct unit_store *u = *state;

	if (geteuid() != 0)
		skip(); /* needs root to become somebody else */
	assert_int_equal(u->store->row->preflight(u->store, &u->err), 0);
	assert_int_equal(chmod(u->folder, 0755), 0);
	assert_int_equal(chmod(u->state, 0755), 0);
	certauto_store_free(u->store);
	assert_int_equal(certauto__store_make(&u->store, u->cx, "files", &u->err), 0);
	assert_int_equal(u->store->row->set(u->store, "directory", u->state, &u->err), 0);
	assert_int_equal(in_child(as_another_user, u), 0);
}

/* ---- a full disk ---- */

static int with_little_room(struct unit_store *u)
{
	struct rlimit limit = {4096, 4096};
	static char big[8192];

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return 2;
	memset(big, 'x', sizeof(big));
	if (u->store->row->preflight(u->store, &u->err) != CERTAUTO_EIO || u->err.advice == NULL)
		return 3;
	certauto__error_clear(&u->err);
	if (u->store->row->journal_save(u->store, "job", big, sizeof(big), &u->err) != CERTAUTO_EIO)
		return 4;
	return 0;
}

static void test_store__a_full_disk_loses_nothing_and_leaves_nothing(void **state)
{
	struct unit_store *u = *state;
	certauto__buffer text = CERTAUTO__BUFFER(1000);

	assert_int_equal(u->store->row->preflight(u->store, &u->err), 0);
	assert_int_equal(u->store->row->journal_save(u->store, "job", "old", 3, &u->err), 0);
	assert_int_equal(in_child(with_little_room, u), 0);
	assert_int_equal(u->store->row->journal_load(u->store, "job", &text, &u->err), 0);
	assert_string_equal(certauto__buffer_text(&text), "old");
	assert_int_equal(unit_count(u->state, CERTAUTO__TEMPORARY), 0);
	assert_int_equal(unit_count(unit_state_path(u, "jobs"), CERTAUTO__TEMPORARY), 0);
	certauto__buffer_free(&text);
}

static void test_store__preflight_leaves_only_the_layout(void **state)
{
	struct unit_store *u = *state;

	assert_int_equal(u->store->row->preflight(u->store, &u->err), 0);
	assert_int_equal(unit_count(u->state, ""), 2 + 4); /* "." and ".." too */
	assert_true(unit_exists(unit_state_path(u, "accounts")));
	assert_true(unit_exists(unit_state_path(u, "certs")));
	assert_true(unit_exists(unit_state_path(u, "jobs")));
	assert_true(unit_exists(unit_state_path(u, "locks")));
}

static void test_store__old_temporaries_go_and_fresh_ones_stay(void **state)
{
	struct timespec old[2] = {{.tv_sec = time(NULL) - 7200}, {.tv_sec = time(NULL) - 7200}};
	const char *stale = "jobs/" CERTAUTO__TEMPORARY "0123456789abcdef";
	const char *fresh = "jobs/" CERTAUTO__TEMPORARY "fedcba9876543210";
	const char *other = "jobs/notes";
	struct unit_store *u = *state;

	assert_int_equal(u->store->row->preflight(u->store, &u->err), 0);
	unit_write(unit_state_path(u, stale), "x", 0600);
	unit_write(unit_state_path(u, fresh), "x", 0600);
	unit_write(unit_state_path(u, other), "x", 0600);
	assert_int_equal(utimensat(AT_FDCWD, unit_state_path(u, stale), old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, unit_state_path(u, other), old, 0), 0);
	assert_int_equal(u->store->row->preflight(u->store, &u->err), 0);
	assert_false(unit_exists(unit_state_path(u, stale)));
	assert_true(unit_exists(unit_state_path(u, fresh)));
	assert_true(unit_exists(unit_state_path(u, other)));
}

/* ---- accounts ---- */

static char kept_status[32]; /* what load_account() has found; "" = none */

static int load_account(struct unit_store *u, certauto__secret **key, char **url)
{
	char *status = NULL;
	int rc;

	certauto__secret_free(*key);
	certauto__free(*url);
	*key = NULL;
	*url = NULL;
	rc = u->store->row->account_load(
		u->store, "default", SERVER, key, url, &status, &u->err);
	snprintf(kept_status, sizeof(kept_status), "%s", status != NULL ? status : "");
	certauto__free(status);
	return rc;
}

/* A file of the account. */
static const char *account_file(struct unit_store *u, const char *file)
{
	static char path[160];
	char digest[65];

	assert_int_equal(certauto__sha256_hex(digest, SERVER, strlen(SERVER)), 0);
	snprintf(path, sizeof(path), "accounts/default-%.8s/%s", digest, file);
	return unit_state_path(u, path);
}

static void test_store__an_account_is_kept_and_never_replaced(void **state)
{
	struct unit_store *u = *state;
	certauto__secret *key = NULL, *other = NULL;
	certauto__list contacts = {0};
	char *url = NULL;

	assert_int_equal(certauto__secret_new(&other, key_p256, strlen(key_p256)), 0);
	unit_assert_error(&u->err, load_account(u, &key, &url), CERTAUTO_ENOTFOUND, "");
	assert_int_equal(
		u->store->row->account_save_key(u->store, "default", SERVER, other, &u->err), 0);
	assert_int_equal(load_account(u, &key, &url), 0);
	assert_string_equal(certauto__secret_text(key), key_p256);
	assert_null(url);
	unit_assert_error(&u->err,
		u->store->row->account_save_key(u->store, "default", SERVER, other, &u->err),
		CERTAUTO_EBUSY, "key.pem");
	assert_int_equal(u->store->row->account_save_url(u->store, "default", SERVER,
		"https://ca.example/account/1", "valid", &contacts, &u->err), 0);
	assert_int_equal(load_account(u, &key, &url), 0);
	assert_string_equal(url, "https://ca.example/account/1");
	assert_string_equal(kept_status, "valid");
	certauto__secret_free(key);
	certauto__secret_free(other);
	certauto__free(url);
}

static void test_store__a_trace_of_an_account_is_not_no_account(void **state)
{
	struct unit_store *u = *state;
	certauto__secret *key = NULL, *made = NULL;
	char *url = NULL, path[160], digest[65];

	assert_int_equal(certauto__secret_new(&made, key_p256, strlen(key_p256)), 0);
	assert_int_equal(
		u->store->row->account_save_key(u->store, "default", SERVER, made, &u->err), 0);
	assert_int_equal(u->store->row->account_save_url(u->store, "default", SERVER,
		"https://ca.example/account/1", NULL, NULL, &u->err), 0);
	assert_int_equal(certauto__sha256_hex(digest, SERVER, strlen(SERVER)), 0);
	snprintf(path, sizeof(path), "accounts/default-%.8s/key.pem", digest);
	unit_write(unit_state_path(u, path), "garbage\n", 0600);
	unit_assert_error(&u->err, load_account(u, &key, &url), CERTAUTO_EIO,
		unit_state_path(u, path));
	assert_int_equal(unlink(unit_state_path(u, path)), 0);
	unit_assert_error(&u->err, load_account(u, &key, &url), CERTAUTO_EIO, "key is gone");
	unit_write(unit_state_path(u, path), key_p256, 0600);
	snprintf(path, sizeof(path), "accounts/default-%.8s/account.json", digest);
	unit_write(unit_state_path(u, path), "{\"version\":1,\"server\":\"https://x\"}", 0600);
	unit_assert_error(&u->err, load_account(u, &key, &url), CERTAUTO_EIO, "https://x");
	certauto__secret_free(made);
}

static certauto__secret *unit_secret(const char *text)
{
	certauto__secret *secret = NULL;

	assert_int_equal(certauto__secret_new(&secret, text, strlen(text)), 0);
	return secret;
}

static int load_next(struct unit_store *u, certauto__secret **key)
{
	certauto__secret_free(*key);
	*key = NULL;
	return u->store->row->account_next_load(u->store, "default", SERVER, key, &u->err);
}

static void test_store__a_next_key_is_kept_beside_the_key(void **state)
{
	struct unit_store *u = *state;
	const struct certauto__store_row *row = u->store->row;
	certauto__secret *old = unit_secret(key_p256), *next = unit_secret(key_p384), *got = NULL;
	char *url = NULL;
	struct stat st;

	unit_assert_error(&u->err, load_next(u, &got), CERTAUTO_ENOTFOUND, "");
	assert_int_equal(row->account_save_key(u->store, "default", SERVER, old, &u->err), 0);
	unit_assert_error(&u->err, load_next(u, &got), CERTAUTO_ENOTFOUND, "next.pem");
	assert_int_equal(row->account_next_save(u->store, "default", SERVER, next, &u->err), 0);
	assert_int_equal(stat(account_file(u, "next.pem"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(load_next(u, &got), 0);
	assert_string_equal(certauto__secret_text(got), key_p384);
	assert_int_equal(load_account(u, &got, &url), 0);
	assert_string_equal(certauto__secret_text(got), key_p256);
	/* The CA may have been told of it: no other takes its place. */
	unit_assert_error(&u->err,
		row->account_next_save(u->store, "default", SERVER, old, &u->err), CERTAUTO_EBUSY,
		"next.pem");
	certauto__secret_free(old);
	certauto__secret_free(next);
	certauto__secret_free(got);
}

static void test_store__a_next_key_is_taken_or_dropped(void **state)
{
	struct unit_store *u = *state;
	const struct certauto__store_row *row = u->store->row;
	certauto__secret *old = unit_secret(key_p256), *next = unit_secret(key_p384), *got = NULL;
	char *url = NULL;

	assert_int_equal(row->account_save_key(u->store, "default", SERVER, old, &u->err), 0);
	assert_int_equal(row->account_next_save(u->store, "default", SERVER, next, &u->err), 0);
	assert_int_equal(row->account_next_settle(u->store, "default", SERVER, 0, &u->err), 0);
	unit_assert_error(&u->err, load_next(u, &got), CERTAUTO_ENOTFOUND, "next.pem");
	assert_int_equal(load_account(u, &got, &url), 0);
	assert_string_equal(certauto__secret_text(got), key_p256);
	assert_int_equal(row->account_next_save(u->store, "default", SERVER, next, &u->err), 0);
	assert_int_equal(row->account_next_settle(u->store, "default", SERVER, 1, &u->err), 0);
	unit_assert_error(&u->err, load_next(u, &got), CERTAUTO_ENOTFOUND, "next.pem");
	assert_int_equal(load_account(u, &got, &url), 0);
	assert_string_equal(certauto__secret_text(got), key_p384);
	unit_assert_error(&u->err,
		row->account_next_settle(u->store, "default", SERVER, 1, &u->err),
		CERTAUTO_ENOTFOUND, "next.pem");
	certauto__secret_free(old);
	certauto__secret_free(next);
	certauto__secret_free(got);
}

static void test_store__a_damaged_next_key_is_not_no_next_key(void **state)
{
	struct unit_store *u = *state;
	certauto__secret *old = unit_secret(key_p256), *got = NULL;
	char *url = NULL;

	assert_int_equal(
		u->store->row->account_save_key(u->store, "default", SERVER, old, &u->err), 0);
	unit_write(account_file(u, "next.pem"), "garbage\n", 0600);
	unit_assert_error(&u->err, load_next(u, &got), CERTAUTO_EIO, "next.pem holds no key");
	unit_write(account_file(u, "next.pem"), key_p384, 0644);
	unit_assert_error(&u->err, load_next(u, &got), CERTAUTO_EPERM, "next.pem");
	assert_int_equal(unlink(account_file(u, "key.pem")), 0);
	unit_assert_error(&u->err, load_account(u, &got, &url), CERTAUTO_EIO, "next.pem still is");
	certauto__secret_free(old);
}

static void test_store__limits_are_text_that_comes_back_and_goes(void **state)
{
	struct unit_store *u = *state;
	const struct certauto__store_row *row = u->store->row;
	certauto__buffer text = CERTAUTO__BUFFER(100);
	certauto__secret *key = NULL;
	char *url = NULL;

	unit_assert_error(&u->err,
		row->account_limits_load(u->store, "default", SERVER, &text, &u->err),
		CERTAUTO_ENOTFOUND, "");
	assert_int_equal(row->account_limits_save(u->store, "default", SERVER, "", 0, &u->err), 0);
	assert_int_equal(
		row->account_limits_save(u->store, "default", SERVER, "{}\n", 3, &u->err), 0);
	assert_int_equal(row->account_limits_load(u->store, "default", SERVER, &text, &u->err), 0);
	assert_string_equal(text.data, "{}\n");
	/* They are no trace of an account. */
	unit_assert_error(&u->err, load_account(u, &key, &url), CERTAUTO_ENOTFOUND, "");
	assert_int_equal(row->account_limits_save(u->store, "default", SERVER, "", 0, &u->err), 0);
	assert_false(unit_exists(account_file(u, "limits.json")));
	certauto__buffer_free(&text);
}

/* ---- journals and status ---- */

static void test_store__journals_come_and_go(void **state)
{
	struct unit_store *u = *state;
	certauto__buffer text = CERTAUTO__BUFFER(1000);
	certauto__list ids = {0};

	assert_int_equal(u->store->row->journal_list(u->store, &ids, &u->err), 0);
	assert_int_equal(ids.n, 0);
	assert_int_equal(u->store->row->journal_save(u->store, "a-csr", "one", 3, &u->err), 0);
	assert_int_equal(u->store->row->journal_save(u->store, "a-csr", "two", 3, &u->err), 0);
	assert_int_equal(u->store->row->journal_load(u->store, "a-csr", &text, &u->err), 0);
	assert_string_equal(certauto__buffer_text(&text), "two");
	assert_int_equal(u->store->row->journal_list(u->store, &ids, &u->err), 0);
	assert_int_equal(ids.n, 1);
	assert_string_equal(ids.items[0], "a-csr");
	assert_int_equal(u->store->row->journal_remove(u->store, "a-csr", &u->err), 0);
	unit_assert_error(&u->err, u->store->row->journal_remove(u->store, "a-csr", &u->err),
		CERTAUTO_ENOTFOUND, "a-csr");
	unit_assert_error(&u->err, u->store->row->journal_load(u->store, "a-csr", &text, &u->err),
		CERTAUTO_ENOTFOUND, "a-csr");
	certauto__list_free(&ids);
	certauto__buffer_free(&text);
}

static void test_store__no_name_becomes_another_path(void **state)
{
	static const char *const bad[] = {"", ".", "..", "../x", "a/b", ".hidden", "a b", "a\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct unit_store *u = *state;
	void *lock = NULL;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(u->store->row->journal_save(u->store, bad[i], "x", 1, NULL),
			CERTAUTO_EINVAL);
		assert_int_equal(u->store->row->lock(u->store, "cert", bad[i], &lock, NULL),
			CERTAUTO_EINVAL);
		assert_int_equal(u->store->row->status_save(u->store, bad[i], KEY, "x", 1, NULL),
			CERTAUTO_EINVAL);
		assert_int_equal(u->store->row->status_save(u->store, NAME, bad[i], "x", 1, NULL),
			CERTAUTO_EINVAL);
	}
	assert_false(unit_exists(u->state));
}

static void test_store__lineages_are_listed(void **state)
{
	struct unit_store *u = *state;
	certauto__list ids = {0};
	char id[64];

	assert_int_equal(u->store->row->list(u->store, &ids, &u->err), 0);
	assert_int_equal(ids.n, 0);
	make_generation(u, id);
	assert_int_equal(u->store->row->list(u->store, &ids, &u->err), 0);
	assert_int_equal(ids.n, 1);
	assert_string_equal(ids.items[0], NAME "/" KEY);
	certauto__list_free(&ids);
}

/* ---- locks ---- */

static void test_store__a_lock_is_held_once_in_one_process(void **state)
{
	struct unit_store *u = *state;
	void *lock = NULL, *second = NULL;

	assert_int_equal(u->store->row->lock(u->store, "cert", "shop-csr", &lock, &u->err), 0);
	unit_assert_error(&u->err,
		u->store->row->lock(u->store, "cert", "shop-csr", &second, &u->err), CERTAUTO_EBUSY,
		"shop-csr");
	assert_null(second);
	assert_int_equal(u->store->row->lock(u->store, "cert", "other", &second, &u->err), 0);
	u->store->row->unlock(u->store, second);
	u->store->row->unlock(u->store, lock);
	assert_true(unit_exists(unit_state_path(u, "locks/cert-shop-csr.lock")));
	assert_int_equal(u->store->row->lock(u->store, "cert", "shop-csr", &lock, &u->err), 0);
	u->store->row->unlock(u->store, lock);
	u->store->row->unlock(u->store, NULL);
}

static void test_store__a_lock_goes_with_the_process_that_held_it(void **state)
{
	struct unit_store *u = *state;
	void *lock = NULL;
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (u->store->row->lock(u->store, "cert", "shop-csr", &lock, &u->err) < 0)
			_exit(1);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	unit_assert_error(&u->err,
		u->store->row->lock(u->store, "cert", "shop-csr", &lock, &u->err), CERTAUTO_EBUSY,
		"shop-csr");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(u->store->row->lock(u->store, "cert", "shop-csr", &lock, &u->err), 0);
	u->store->row->unlock(u->store, lock);
	close(ready[0]);
}

/* ---- the public noun ---- */

static void test_store__public_calls_load_what_was_kept(void **state)
{
	struct unit_store *u = *state;
	certauto_key *key = NULL;
	certauto_chain *chain = NULL;
	certauto_store *store = NULL;
	char id[64];

	assert_int_equal(certauto_store_new(&store, u->cx, "etcetera"), CERTAUTO_ENOTFOUND);
	assert_int_equal(certauto_store_new(&store, u->cx, "files"), 0);
	assert_int_equal(certauto_store_load(&key, &chain, store, NAME, KEY, 0), CERTAUTO_EINVAL);
	assert_int_equal(certauto_store_set(store, "folder", u->state), CERTAUTO_EINVAL);
	assert_int_equal(certauto_store_set(store, "directory", u->state), 0);
	assert_int_equal(certauto_store_load(&key, &chain, store, NAME, KEY, 0),
		CERTAUTO_ENOTFOUND);
	assert_non_null(strstr(certauto_error_message(certauto_context_error(u->cx)),
		"was never issued"));
	assert_int_equal(certauto_store_load(&key, &chain, store, "../x", KEY, 0), CERTAUTO_EINVAL);
	make_generation(u, id);
	assert_int_equal(certauto_store_load(&key, &chain, store, NAME, KEY, 0), 0);
	assert_string_equal(certauto_key_type(key), "ecdsa-p256");
	assert_true(certauto_chain_n_certs(chain) > 1);
	certauto_key_free(key);
	certauto_chain_free(chain);
	certauto_store_free(store);
}

static int scenario_load(void *arg)
{
	struct unit_store *u = arg;
	struct certauto__generation loaded = {0};
	certauto__list ids = {0};
	int rc;

	if ((rc = u->store->row->load(u->store, NAME, KEY, NULL, &loaded, NULL)) == 0)
		rc = u->store->row->journal_list(u->store, &ids, NULL);
	certauto__generation_free(&loaded);
	certauto__list_free(&ids);
	return rc;
}

static int scenario_save(void *arg)
{
	struct unit_store *u = arg;
	struct certauto__generation draft = {0};
	int rc;

	certauto__buffer_init(&draft.csr, 65536);
	if ((rc = certauto__secret_new(&draft.key, key_p256, strlen(key_p256))) == 0 &&
	    (rc = certauto__buffer_text_add(&draft.csr, csr_empty_subject)) == 0 &&
	    (rc = u->store->row->draft(u->store, NAME, KEY, &draft, NULL)) == 0 &&
	    (rc = u->store->row->discard(u->store, NAME, KEY, draft.id, NULL)) == 0)
		rc = u->store->row->journal_save(u->store, "job", "text", 4, NULL);
	certauto__generation_free(&draft);
	/* Without any memory nothing can be listed and so nothing removed: that is for the next
	 * run. */
	certauto__alloc_fail_at(0, 0);
	if (rc < 0)
		assert_int_equal(u->store->row->sweep(u->store, NAME, KEY, NULL, NULL), 0);
	return rc;
}

static void test_store__no_memory_is_told_and_leaves_no_trace(void **state)
{
	struct unit_store *u = *state;
	char id[64];

	make_generation(u, id);
	assert_int_equal(u->store->row->journal_save(u->store, "job", "text", 4, &u->err), 0);
	unit_oom_sweep("load", scenario_load, u);
	unit_oom_sweep("save", scenario_save, u);
	assert_int_equal(u->store->row->sweep(u->store, NAME, KEY, NULL, &u->err), 0);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), "gen-"), 1);
	assert_int_equal(unit_count(unit_state_path(u, LINEAGE), CERTAUTO__TEMPORARY), 0);
	assert_int_equal(load_current(u), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_store__a_generation_is_read_back_as_it_was_written),
		TEST(test_store__a_draft_is_whole_but_not_current),
		TEST(test_store__current_and_the_one_before_are_kept),
		TEST(test_store__the_one_before_is_whole_and_older_than_the_current),
		TEST(test_store__complete_may_come_again_after_a_kill),
		TEST(test_store__strays_are_swept_but_not_what_is_kept),
		TEST(test_store__the_current_generation_is_never_discarded),
		TEST(test_store__modes_do_not_depend_on_the_umask),
		TEST(test_store__damage_is_never_taken_for_absence),
		TEST(test_store__rights_for_others_are_refused_with_the_path),
		TEST(test_store__an_unsafe_state_directory_stops_the_run),
		TEST(test_store__planted_links_are_not_followed),
		TEST(test_store__a_fifo_in_place_of_a_file_does_not_stop_it),
		TEST(test_store__another_users_directory_is_refused),
		TEST(test_store__a_full_disk_loses_nothing_and_leaves_nothing),
		TEST(test_store__preflight_leaves_only_the_layout),
		TEST(test_store__old_temporaries_go_and_fresh_ones_stay),
		TEST(test_store__an_account_is_kept_and_never_replaced),
		TEST(test_store__a_trace_of_an_account_is_not_no_account),
		TEST(test_store__a_next_key_is_kept_beside_the_key),
		TEST(test_store__a_next_key_is_taken_or_dropped),
		TEST(test_store__a_damaged_next_key_is_not_no_next_key),
		TEST(test_store__limits_are_text_that_comes_back_and_goes),
		TEST(test_store__journals_come_and_go),
		TEST(test_store__no_name_becomes_another_path),
		TEST(test_store__lineages_are_listed),
		TEST(test_store__a_lock_is_held_once_in_one_process),
		TEST(test_store__a_lock_goes_with_the_process_that_held_it),
		TEST(test_store__public_calls_load_what_was_kept),
		TEST(test_store__no_memory_is_told_and_leaves_no_trace),
	};

	return cmocka_run_group_tests_name("store/files", tests, NULL, NULL);
}
