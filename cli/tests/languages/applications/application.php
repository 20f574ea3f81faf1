<?php
// The application of the tests, with PHP.
declare(strict_types=1);

require getenv('CLIENT');

function until(string $path): void
{
    while (!file_exists($path)) {
        usleep(10000);
        clearstatcache();
    }
}

$session = Cloakroom\Session::open(['url' => getenv('SERVICE'), 'key' => getenv('KEY') ?: null, 'secure' => false]);
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/') {
    echo 'hello';
    return;
}
if ($path === '/stream') {
    $session->set('a', 'streamed');
    echo "one\n";
    while (ob_get_level() > 0) {
        ob_end_flush();
    }
    flush();
    until($_GET['gate']);
    echo "two\n";
    return;
}
header('Content-Type: application/json');
function answer(Cloakroom\Session $session, string $path): mixed
{
    switch ($path) {
        case '/show':
            $fields = [];
            foreach (['a', 'b', 'count', 'list'] as $name) {
                $fields[$name] = $session->get($name);
            }
            $fields = array_filter($fields, fn ($value) => $value !== null);
            return ['user' => $session->user(), 'fields' => (object) $fields];
        case '/set': return $session->set($_GET['name'], $_GET['value']);
        case '/remove': return $session->remove($_GET['name']);
        case '/count': return ['count' => $session->increment('count')];
        case '/append': return ['list' => $session->update('list', fn ($list) => [...($list ?? []), $_GET['value']])];
        case '/sign-in': return $session->signIn($_GET['user']);
        case '/rotate': return $session->rotate();
        case '/elevate': return $session->elevate();
        case '/sign-out': return $session->signOut();
        case '/devices': return ['devices' => $session->devices()];
        case '/sign-out-device': return ['ended' => $session->signOutDevice($_GET['id'])];
        case '/sign-out-others': return ['ended' => $session->signOutOthers()];
        case '/sign-out-everywhere': return ['ended' => $session->signOutEverywhere()];
        case '/slow':
            $session->get('a');
            touch($_GET['gate'] . '.read');
            until($_GET['gate']);
            return $session->set('a', 'late');
        case '/cached':
            header('Cache-Control: public, max-age=60');
            return $session->set('a', 'cached');
        case '/fail':
            http_response_code(500);
            return $session->set('a', 'half');
        case '/caught':
            try {
                return ['count' => $session->increment('count')];
            } catch (Cloakroom\Error $error) {
                http_response_code($error->status);
                return ['caught' => $error->problem];
            }
    }
}
echo json_encode(answer($session, $path) ?? (object) []);
