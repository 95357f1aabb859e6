/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_FAKE_AVI_H
#define CERTAUTO_TESTS_FAKE_AVI_H

/* A controller that says what it is told to, with sessions as Avi has them: cookies, and a token
 * that goes into a header too. How a real one behaves is for the simulator of tests/sim. */

#include "fake_device.h"

#define GREETING(version, more) \
	"{\"user_initialized\":true,\"version\":{\"Version\":\"" version "\",\"min_version\":" \
	"\"16.4.2\"},\"session_cookie_name\":\"avi-sessionid\"" more "}"
#define NOTHING "{\"count\":0,\"results\":[]}"
#define CSRF_FAILED "CSRF token missing or incorrect."

/* Besides what all devices have. */
struct controller {
	struct device device;
	const char *greeting;  /* NULL: the usual one */
	int rotates;           /* a new token with each answer; the old one does not hold */
	int csrf;              /* the token that holds */
	char last[8192];       /* the last request that was neither login nor logout */
};

static inline struct controller *controller_of(struct device *device)
{
	return (struct controller *)device; /* it comes first */
}

static inline int device_number(void)
{
	static int number; /* sessions of other devices do not pass for ours */

	return __atomic_add_fetch(&number, 1, __ATOMIC_SEQ_CST);
}

static inline void controller_cookies(char out[512], struct controller *controller)
{
	snprintf(out, 512, "Set-Cookie: csrftoken=csrf%d; Max-Age=31449600; Path=/; Secure\r\n"
		"Set-Cookie: avi-sessionid=sid%d; Path=/; HttpOnly\r\n"
		"Set-Cookie: sessionid=sid%d; Path=/; HttpOnly\r\n",
		controller->csrf, controller->device.session, controller->device.session);
}

static inline void device_login(struct device *device, int fd, const char *text, const char *body)
{
	struct controller *controller = controller_of(device);
	char cookies[512];

	device->n_logins++;
	assert_null(strstr(text, "Cookie:"));
	assert_null(strstr(text, "X-CSRFToken:"));
	assert_non_null(strstr(text, "Content-Type: application/x-www-form-urlencoded\r\n"));
	if (strcmp(body, "username=admin&password=right") != 0 &&
		strcmp(body, "username=admin&token=t%26ken") != 0) {
		device_say(fd, 401, "", "{\"error\":\"Invalid credentials\"}");
		return;
	}
	device->session = device_number();
	controller->csrf = device_number();
	controller_cookies(cookies, controller);
	device_say(fd, 200, cookies, controller->greeting != NULL ? controller->greeting :
		GREETING("30.2.2", ""));
}

static inline int device_knows(const struct device *device, const char *text, int writes)
{
	int csrf = ((const struct controller *)device)->csrf;
	char cookie[128], header[64];

	snprintf(cookie, sizeof(cookie),
		"Cookie: csrftoken=csrf%d; sessionid=sid%d; avi-sessionid=sid%d\r\n", csrf,
		device->session, device->session);
	snprintf(header, sizeof(header), "X-CSRFToken: csrf%d\r\n", csrf);
	if (!writes) /* the token does not matter */
		snprintf(cookie, sizeof(cookie), "; avi-sessionid=sid%d\r\n", device->session);
	return device->session != 0 && strstr(text, cookie) != NULL &&
		(!writes || strstr(text, header) != NULL);
}

static inline void device_answer(struct device *device, int fd, const char *text, const char *body)
{
	struct controller *controller = controller_of(device);
	char method[16], path[1024], request[1100], cookies[512];
	size_t len = strlen(device->log);
	struct line *line;

	assert_int_equal(sscanf(text, "%15s %1023s", method, path), 2);
	snprintf(request, sizeof(request), "%s %s", method, path);
	snprintf(device->log + len, sizeof(device->log) - len, "%s\n", request);
	line = device_line(device, request);
	if (strcmp(request, "POST /login") == 0 && line == NULL) {
		device_login(device, fd, text, body);
		return;
	}
	if (strcmp(request, "POST /login") == 0) {
		device->n_logins++;
		device_reply(fd, line, "", "");
		return;
	}
	device->n_calls++;
	if (device->n_calls == device->lose_at)
		device->session = 0;
	if (device->n_calls == device->cut_at)
		return;
	if (strcmp(request, "POST /logout") != 0)
		snprintf(controller->last, sizeof(controller->last), "%.8000s", text);
	if (!device_knows(device, text, strcmp(method, "GET") != 0)) {
		device_say(fd, 401, "", device_knows(device, text, 0) ? CSRF_FAILED :
			"{\"error\":\"Authentication credentials were not provided.\"}");
		return;
	}
	device->n_logouts += strcmp(request, "POST /logout") == 0;
	if (controller->rotates)
		controller->csrf = device_number();
	controller_cookies(cookies, controller);
	device_reply(fd, line, cookies, NOTHING);
}

#endif
