#define OFFSET 0

int sum(int a, int b);
