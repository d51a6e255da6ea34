export { openBudgets, type Budget, type BudgetRule, type Budgets } from './budgets.js';
