# Brings a Chromium for the tests of the dashboard, where there is none and root may install one.
# Elsewhere it says what to do; the tests then fail and say the same.
set -eu
for name in "${SHIFTBOSS_CHROMIUM:-chromium}" chromium-browser google-chrome google-chrome-stable; do
	if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing Chromium for the tests of the dashboard …"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium; } >/dev/null && exit 0
fi
echo "the tests of the dashboard need Chromium: install it, or say where it is: SHIFTBOSS_CHROMIUM=/…/chrome" >&2
